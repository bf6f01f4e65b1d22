// SPDX-License-Identifier: Apache-2.0
import { type Direction, reservedIdentities } from '@weir/model';
import { WeirError } from '@weir/errors';
import type { Contribution, DirectionPolicy, EnforcementOptions } from './direction-policy.ts';
import { type ActiveRule, createPolicyRepository, type PolicyRepository } from './policy-repository.ts';
import type { PeerCache, PortTable } from './port-table.ts';
import { createSelectorCache, type SelectorCache } from './selector-cache.ts';

/** The identity of local endpoints, with its policy. */
export interface Subject extends Readonly<Record<Direction, DirectionPolicy>> {
  readonly id: number;
}

/** All that an engine knows. */
export interface EngineState {
  readonly options: EnforcementOptions;
  readonly repository: PolicyRepository;
  /** Selectors of peers over all identities, used by port tables. */
  readonly peers: PeerCache;
  /** Selectors of subjects over the local identities, used by rules. */
  readonly rules: SelectorCache<ActiveRule>;
  readonly subjects: Map<number, Subject>;
}

/** Makes the state of an engine that knows the reserved identities and no policy. */
export function createEngineState(options: EnforcementOptions): EngineState {
  const peers: PeerCache = createSelectorCache<PortTable>();
  for (const [id, labels] of reservedIdentities) peers.addMember(id, labels);
  return { options, repository: createPolicyRepository(), peers, rules: createSelectorCache(), subjects: new Map() };
}

/** The rules that select a subject. */
export function rulesSelecting(state: EngineState, subject: number): ActiveRule[] {
  return [...state.rules.selectorsOf(subject)].flatMap(({ users }) => [...users]);
}

/** What rules bring into a direction. */
export function contributions(rules: Iterable<ActiveRule>, direction: Direction): Contribution[] {
  return [...rules].map(({ contribution }) => contribution[direction]);
}

/** The subject with a number. Throws NOT_FOUND. */
export function requireSubject(state: EngineState, id: number): Subject {
  const subject = state.subjects.get(id);
  if (subject === undefined) throw new WeirError('NOT_FOUND', `Identity ${id} is not that of a local endpoint`);
  return subject;
}
