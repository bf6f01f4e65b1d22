// SPDX-License-Identifier: Apache-2.0
import { type Direction, type LabelSet, reservedIdentities } from '@weir/model';
import { WeirError } from '@weir/errors';
import type { Enforcement } from '../policy-entry.ts';
import type { Rule } from '../rule.ts';
import type { AttributeSet } from '../selector-spec.ts';
import type { Contribution, DirectionPolicy, EnforcementOptions } from './direction-policy.ts';
import type { LabelledIdentity } from './engine-types.ts';
import { forAllPodsOf } from './for-all-pods.ts';
import { type ActiveRule, createPolicyRepository, type PolicyRepository } from './policy-repository.ts';
import type { PeerCache, PortTable } from './port-table.ts';
import { createReferences, type References } from './references.ts';
import { createSelectorCache, type SelectorCache } from './selector-cache.ts';

/** Local endpoints that share one policy, with that policy. */
export interface Subject extends Readonly<Record<Direction, DirectionPolicy>> {
  readonly id: number;
  readonly labels: LabelSet;
  readonly appliesTo: 'endpoints' | 'nodes';
  /** Equal for equal named ports. */
  readonly portsKey: string;
}

/** What an engine is made with. */
export interface EngineOptions extends EnforcementOptions {
  /** Whether all pods may be one peer, and the name of the cluster whose pods are known by it. */
  readonly clusterPeer?: { readonly clusterName: string };
}

/** All that an engine knows. */
export interface EngineState {
  readonly options: EngineOptions;
  readonly references: References;
  readonly repository: PolicyRepository;
  /** Selectors of peers over all identities, used by port tables. */
  readonly peers: PeerCache;
  /** Everybody who can be a peer. */
  readonly identities: Map<number, LabelledIdentity>;
  /** Selectors of subjects over the local endpoints and over the host, used by rules. */
  readonly rules: Readonly<Record<'endpoints' | 'nodes', SelectorCache<ActiveRule>>>;
  readonly subjects: Map<number, Subject>;
}

/** Makes the state of an engine that knows the reserved identities and no policy. */
export function createEngineState(options: EngineOptions): EngineState {
  const isForAllPods = options.clusterPeer && forAllPodsOf(options.clusterPeer.clusterName);
  const peers: PeerCache = createSelectorCache<PortTable>(isForAllPods);
  const identities = new Map<number, LabelledIdentity>();
  for (const [id, labels] of reservedIdentities) {
    peers.addMember(id, labels);
    identities.set(id, { id, labels });
  }
  const references = createReferences();
  return {
    options,
    references,
    repository: createPolicyRepository(references),
    peers,
    identities,
    rules: { endpoints: createSelectorCache(), nodes: createSelectorCache() },
    subjects: new Map(),
  };
}

/** Where the subjects are that a rule may select. */
export const rulesFor = ({ rules }: EngineState, { appliesTo = 'endpoints' }: Rule): SelectorCache<ActiveRule> =>
  rules[appliesTo];

/** Whether labels are those of the host. */
export const isHostLabels = ({ labels }: AttributeSet): boolean =>
  labels.some(({ source, key }) => source === 'reserved' && key === 'host');

/** The rules that select a subject. */
export function rulesSelecting(state: EngineState, subject: Pick<Subject, 'id' | 'appliesTo'>): ActiveRule[] {
  return [...state.rules[subject.appliesTo].selectorsOf(subject.id)].flatMap(({ users }) => [...users]);
}

/** What rules bring into a direction. */
export function contributions(rules: Iterable<ActiveRule>, direction: Direction): Contribution[] {
  return [...rules].map(({ contribution }) => contribution[direction]);
}

/** What a subject's policy does besides its entries. */
export const enforcementOf = ({ ingress, egress }: Subject): Enforcement => ({
  ingressEnforced: ingress.isEnforced,
  egressEnforced: egress.isEnforced,
  ingressDefaultAllow: ingress.isDefaultAllow,
  egressDefaultAllow: egress.isDefaultAllow,
});

/** The subject with a number. Throws NOT_FOUND. */
export function requireSubject(state: EngineState, id: number): Subject {
  const subject = state.subjects.get(id);
  if (subject === undefined) throw new WeirError('NOT_FOUND', `Identity ${id} is not that of a local endpoint`);
  return subject;
}
