// SPDX-License-Identifier: Apache-2.0
import type { Direction } from '@weir/model';
import type { SelectorSpec } from './selector-spec.ts';

/** Ports that a grant is about. `protocol` 0 is every protocol. ICMP types are ports from 256 on. */
export interface PortMatch {
  readonly protocol: number;
  /** The lowest of them; 0 with a `prefixLength` of 0 is every port. */
  readonly port: number;
  /** How many of the port's 16 bits count. Absent: all of them, or none for port 0. */
  readonly prefixLength?: number;
}

/** A port by the name that pods give it: the subject of an ingress rule, the peers of an egress rule. */
export interface NamedPortMatch {
  /** Lower case. */
  readonly name: string;
  /** 0: any that has ports. */
  readonly protocol: number;
}

/** Services that a grant is about: one by name, or those that a selector selects. */
export interface ServiceMatch {
  /** Absent: of any namespace. */
  readonly namespace?: string;
  readonly name?: string;
  readonly selector?: SelectorSpec;
}

/** A header that a request must have. */
export interface HttpHeader {
  /** Lower case. */
  readonly name: string;
  /** What the header's fields, joined by commas, must be; absent: anything. */
  readonly value?: string;
}

/** What is done with a header that does not have the wanted value. */
export const headerMismatches = ['LOG', 'ADD', 'DELETE', 'REPLACE'] as const;

/** One of {@link headerMismatches}. */
export type HeaderMismatch = (typeof headerMismatches)[number];

/** A header that is put right where it does not have a value; it never makes a request fail. */
export interface HttpHeaderMatch {
  /** Lower case. */
  readonly name: string;
  readonly value: string;
  readonly mismatch: HeaderMismatch;
}

/** Conditions on a request, of which all must hold. Expressions are RE2 and match the whole value. */
export interface HttpRule {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  /** At least one, sorted. */
  readonly headers?: readonly HttpHeader[];
  /** At least one, sorted. What those of every rule that matches a request say is done to it. */
  readonly headerMatches?: readonly HttpHeaderMatch[];
}

/** What one item of a rule's section allows or denies: who may (not) talk on which ports. */
export interface Grant {
  readonly verdict: 'allow' | 'deny';
  /** `any` is every peer, known or not; an empty list is none. */
  readonly peers: 'any' | readonly SelectorSpec[];
  /** Peers besides: what is behind these services. */
  readonly services?: readonly ServiceMatch[];
  readonly ports: readonly PortMatch[];
  /** Ports besides. */
  readonly namedPorts?: readonly NamedPortMatch[];
  /** Only requests that match one of these pass. Absent: no look at requests. Never with a `deny`. */
  readonly http?: readonly HttpRule[];
  /** Where it is written: `spec.ingress[0].toPorts[1]`. */
  readonly path: string;
  readonly line: number;
}

/** What a rule says of one direction. */
export interface RuleSection {
  /** Whether the rule puts those it selects into default deny in this direction. */
  readonly defaultDeny: boolean;
  readonly grants: readonly Grant[];
  /** What a peer must be for any rule to allow anything to those that this one selects. Grants nothing. */
  readonly required?: SelectorSpec;
  /** What a peer must be for any rule to deny it anything. */
  readonly requiredOfDenied?: SelectorSpec;
}

/** A rule with all defaults and scopes applied. Plain data: may be stored and sent to another thread. */
export interface Rule extends Readonly<Record<Direction, RuleSection>> {
  /** Whose policy this is: endpoints, or nodes. */
  readonly subject: SelectorSpec;
  /** Absent: `endpoints`. */
  readonly appliesTo?: 'endpoints' | 'nodes';
  /** `source:key=value`, sorted; for people. */
  readonly labels: readonly string[];
  readonly description?: string;
  readonly lines: { readonly first: number; readonly last: number };
}

/** The kinds of policy. */
export type PolicyKind = 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy' | 'NetworkPolicy' | 'RuleList';

/** A policy: what is imported, replaced and deleted as a whole. Plain data, like its rules. */
export interface Policy {
  /** `kind/namespace/name`. */
  readonly key: string;
  readonly kind: PolicyKind;
  /** Empty for what has no namespace. */
  readonly namespace: string;
  /** A rule list is named by the labels of its rules or, when they have none, by its content. */
  readonly name: string;
  readonly source: { readonly file: string; readonly line: number };
  /** Who alone may change it; absent: whoever may call the agent. */
  readonly owner?: 'kubernetes';
  readonly rules: readonly Rule[];
  /** Canonical JSON: reading it gives the same policy, and equal policies have equal documents. */
  readonly document: string;
}
