// SPDX-License-Identifier: Apache-2.0
import type { Cidr, LabelSet, NamedPort } from '@weir/model';
import type { EntryOrigin, PolicyEntryKey, RuleSet } from '../policy-entry.ts';

/**
 * One end of a flow:
 * - `identity`: a number that the engine knows
 * - `subject`: local endpoints, by the number of their policy
 * - `labels`: whoever has them, whether there is such an endpoint or not
 * - `prefix`: addresses outside the cluster; those of endpoints are for the caller to turn into identities
 */
export type FlowEnd =
  | { readonly kind: 'identity'; readonly id: number }
  | { readonly kind: 'subject'; readonly id: number }
  | { readonly kind: 'labels'; readonly labels: LabelSet; readonly namedPorts?: readonly NamedPort[] }
  | { readonly kind: 'prefix'; readonly prefix: Cidr };

/** What rules look at of an HTTP request. */
export interface HttpRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly host?: string;
  /** In any case; a header may come several times. */
  readonly headers?: readonly { readonly name: string; readonly value: string }[];
}

/** A flow to explain. */
export interface ExplainQuestion {
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  readonly protocol: number;
  /** The destination's; for ICMP the type plus 256, for protocols without ports 0. */
  readonly port: number;
  readonly request?: HttpRequest;
}

/** An end as the engine understood it. */
export interface ExplainedEnd {
  /** `source:key=value`. */
  readonly labels: readonly string[];
  /** Absent: nobody has these labels as yet. */
  readonly identity?: number;
  /** Of a prefix: narrower prefixes in it, whose addresses are judged by themselves. */
  readonly narrower?: readonly string[];
}

/** An entry of the policy map that a flow finds. */
export interface ExplainedEntry {
  readonly key: PolicyEntryKey;
  readonly verdict: 'allow' | 'deny' | 'redirect';
  readonly ruleSet?: RuleSet;
  readonly origins: readonly EntryOrigin[];
}

/**
 * What a rule wants and does not find:
 * - `subject`: it is for other endpoints; `peer`: it is about other peers; `required`: another rule forbids such peers
 * - `protocol`, `port`: it is about other ports; `request`: it lets other requests pass
 */
export interface Miss {
  readonly kind: 'subject' | 'peer' | 'required' | 'protocol' | 'port' | 'request';
  /** `any:app=front`, `TCP/80`, `path /v1/.*`. */
  readonly wanted: string;
  readonly found: string;
}

/** A rule that would allow the flow if it did not want something else. */
export interface NearMiss {
  readonly origin: EntryOrigin;
  /** At least one. */
  readonly misses: readonly Miss[];
}

/** What the policy of one end says. */
export interface SideExplanation {
  /** `not-managed`: the end has no policy here; the others as {@link PolicyAnswer.verdict}. */
  readonly verdict: 'allow' | 'deny' | 'redirect' | 'no-match' | 'not-enforced' | 'not-managed';
  /** All entries that the flow finds, the most specific first. */
  readonly entries: readonly ExplainedEntry[];
  /** The items of rules that decided. */
  readonly decidedBy: readonly EntryOrigin[];
  /** Of a redirect, when a request was asked about. */
  readonly request?: 'passes' | 'refused';
  /** Keys of the policies that put the end into default deny. */
  readonly defaultDenyBy: readonly string[];
  /** When nothing allows the flow or the request: the rules that come nearest, the nearest first. */
  readonly nearest: readonly NearMiss[];
}

/** What becomes of a flow, and why. */
export interface Explanation {
  /** `depends`: on the request, about which nothing was asked; `refused`: the request, by the proxy. */
  readonly verdict: 'allowed' | 'depends' | 'dropped' | 'refused';
  readonly source: ExplainedEnd;
  readonly destination: ExplainedEnd;
  /** What the source's policy says. */
  readonly egress: SideExplanation;
  /** What the destination's policy says. */
  readonly ingress: SideExplanation;
}
