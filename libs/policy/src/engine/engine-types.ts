// SPDX-License-Identifier: Apache-2.0
import type { Cidr, Direction, LabelSet, NamedPort } from '@weir/model';
import type { Explanation, ExplainQuestion } from '../explain/explain-types.ts';
import type {
  Enforcement,
  EntryOrigin,
  PolicyEntry,
  PolicyEntryKey,
  ResolvedPolicy,
  RuleSet,
} from '../policy-entry.ts';
import type { Policy } from '../rule.ts';

/** A numeric identity with the labels that it stands for. */
export interface LabelledIdentity {
  readonly id: number;
  readonly labels: LabelSet;
  /** Of all pods of the identity; what names of ports in egress rules mean. Several ports may have one name. */
  readonly namedPorts?: readonly NamedPort[];
}

/**
 * Endpoints that share one policy. An identity is one, and several where pods of it call different ports by one name.
 * The host is the one with the label `reserved:host`; it has the labels of its node besides, and policies for nodes are
 * for it alone.
 */
export interface PolicySubject {
  /** Any positive number; what it stands for is the caller's business. */
  readonly id: number;
  readonly labels: LabelSet;
  /** What names of ports in ingress rules mean. */
  readonly namedPorts?: readonly NamedPort[];
}

/** A service of the cluster, as rules with `toServices` look at it. */
export interface ServiceDescription {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Labels of the pods behind it, which are in its namespace. Empty or absent: it has none, and `addresses` count. */
  readonly selector?: Readonly<Record<string, string>>;
  /** What is behind a service without selector. */
  readonly addresses?: readonly Cidr[];
}

/** Which service. */
export type ServiceName = Pick<ServiceDescription, 'namespace' | 'name'>;

/** A change of what an engine knows, applied as a whole. Within it, deletions come before additions. */
export interface PolicyUpdate {
  /** A policy with the key of another one replaces it. */
  readonly upsertPolicies?: readonly Policy[];
  /** Keys of policies; unknown ones are no error. */
  readonly deletePolicies?: readonly string[];
  /** Everybody who can be a peer. The reserved identities are there from the start. */
  readonly upsertIdentities?: readonly LabelledIdentity[];
  readonly deleteIdentities?: readonly number[];
  /** Local endpoints: those whose policy is wanted. */
  readonly upsertSubjects?: readonly PolicySubject[];
  readonly deleteSubjects?: readonly number[];
  readonly upsertServices?: readonly ServiceDescription[];
  /** Unknown ones are no error. */
  readonly deleteServices?: readonly ServiceName[];
}

/** What an update changed for one subject. */
export interface SubjectChange extends Enforcement {
  readonly subject: number;
  /** `added`: `upserted` is the whole policy; `removed`: the whole policy is gone, nothing is listed. */
  readonly kind: 'added' | 'changed' | 'removed';
  /**
   * Whether enforcement or rules of the subject changed, so that the entries must be replaced as a whole. Without it only
   * identities came or went: writing `upserted` and then removing `deleted` in their order lets no flow through at any
   * moment that neither the old policy nor the new one lets through.
   */
  readonly rulesChanged: boolean;
  /** Denials first, then redirects, then allowances. */
  readonly upserted: readonly PolicyEntry[];
  /** Allowances first, then redirects, then denials. */
  readonly deleted: readonly PolicyEntryKey[];
}

/** The outcome of an update. */
export interface PolicyChanges {
  /** The revision that is current now. */
  readonly revision: number;
  /** Subjects whose policy differs from before. */
  readonly subjects: readonly SubjectChange[];
}

/** A flow, seen from the endpoint whose policy is asked. */
export interface PolicyQuestion {
  readonly subject: number;
  readonly direction: Direction;
  readonly peerIdentity: number;
  readonly protocol: number;
  /** 0 for protocols without ports; for ICMP the type plus 256. */
  readonly port: number;
}

/** What the datapath does with a flow, and why. */
export interface PolicyAnswer {
  /** `not-enforced`: no policy in that direction; `no-match`: dropped because nothing allows it. */
  readonly verdict: 'allow' | 'deny' | 'redirect' | 'no-match' | 'not-enforced';
  readonly ruleSet?: RuleSet;
  /** The items of rules that decided; for `no-match` empty, see {@link PolicyEngine.policiesInDefaultDeny}. */
  readonly origins: readonly EntryOrigin[];
}

/** The name of a port that a rule uses and that nobody gives to a port. */
export interface UnknownPortName {
  readonly name: string;
  readonly origin: EntryOrigin;
  /** The subjects that lack it, ascending; empty for an egress rule, where no peer that there is has it. */
  readonly subjects: readonly number[];
}

/** A selector of peers that rules in force name, and whom it selects. */
export interface SelectorUse {
  /** As it can be read: `k8s:app=web && k8s:io.kubernetes.pod.namespace=shop`. */
  readonly selector: string;
  /** Keys of the policies that name it, sorted. */
  readonly policies: readonly string[];
  /** Subjects whose policy looks at it, ascending. */
  readonly subjects: readonly number[];
  /** Identities that it selects, ascending. */
  readonly identities: readonly number[];
}

/** Resolves policies into the entries of policy maps, and keeps them up to date. */
export interface PolicyEngine {
  /** Counts the updates that changed a policy. */
  readonly revision: number;
  /** Applies an update and tells what it changed. Throws INVALID_ARGUMENT, and then nothing has changed. */
  apply(update: PolicyUpdate): PolicyChanges;
  /** The whole policy of a subject, worked out now; undefined when it is not one. */
  resolve(subject: number): ResolvedPolicy | undefined;
  /** Decides a flow as the datapath does with the entries of {@link PolicyEngine.resolve}. NOT_FOUND: no such subject. */
  decide(question: PolicyQuestion): PolicyAnswer;
  policies(): readonly Policy[];
  /** Keys of the policies of which a rule selects a subject, sorted. */
  policiesSelecting(subject: number): readonly string[];
  /** Keys of the policies that put a subject into default deny in a direction, sorted. */
  policiesInDefaultDeny(subject: number, direction: Direction): readonly string[];
  /** The selectors of peers that the policy of some subject looks at, sorted. */
  selectors(): readonly SelectorUse[];
  /** Names of ports that open nothing, because nobody has such a port. */
  unknownPortNames(): readonly UnknownPortName[];
  /** Says what becomes of a flow and why, or why nothing allows it. See {@link ExplainQuestion} for what may be asked. */
  explain(question: ExplainQuestion): Explanation;
  /** Numbers of the subjects that a policy selects, ascending. */
  subjectsOf(policy: string): readonly number[];
}
