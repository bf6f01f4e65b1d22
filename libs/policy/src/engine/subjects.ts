// SPDX-License-Identifier: Apache-2.0
import { type Direction, directions, type NamedPort } from '@weir/model';
import { createDirectionPolicy, type DirectionPolicy } from './direction-policy.ts';
import { contributions, type EngineState, isHostLabels, rulesSelecting, type Subject } from './engine-state.ts';
import type { PolicySubject } from './engine-types.ts';

const portsKeyOf = (ports: readonly NamedPort[]): string =>
  ports
    .map(({ name, protocol, port }) => `${name}/${protocol}/${port}`)
    .sort()
    .join();

/** The names as rules write them. */
const lowerCased = (ports: readonly NamedPort[] = []): NamedPort[] =>
  ports.map((port) => ({ ...port, name: port.name.toLowerCase() }));

/** Whether a subject is there as it is described. */
export function isSameSubject(state: EngineState, { id, labels, namedPorts }: PolicySubject): boolean {
  const known = state.subjects.get(id);
  return known?.labels.key === labels.key && known.portsKey === portsKeyOf(lowerCased(namedPorts));
}

/** Adds a subject with its policy, unless it is there, and gives it. */
export function addSubject(state: EngineState, { id, labels, namedPorts }: PolicySubject): Subject | undefined {
  if (state.subjects.has(id)) return undefined;
  const { options, peers } = state;
  const named = lowerCased(namedPorts);
  const isHost = isHostLabels(labels);
  const create = (direction: Direction): DirectionPolicy =>
    createDirectionPolicy({ subject: id, direction, namedPorts: named, isHost }, { cache: peers, options });
  const subject: Subject = {
    id,
    labels,
    appliesTo: isHost ? 'nodes' : 'endpoints',
    portsKey: portsKeyOf(named),
    ingress: create('ingress'),
    egress: create('egress'),
  };
  state.subjects.set(id, subject);
  state.rules[subject.appliesTo].addMember(id, labels);
  const rules = rulesSelecting(state, subject);
  for (const direction of directions) {
    subject[direction].change({ added: contributions(rules, direction), removed: [] });
  }
  return subject;
}

/** Removes a subject and gives up all that its policy uses; true when it was there. */
export function removeSubject(state: EngineState, id: number): boolean {
  const subject = state.subjects.get(id);
  if (subject === undefined) return false;
  const rules = rulesSelecting(state, subject);
  for (const direction of directions) {
    subject[direction].change({ added: [], removed: contributions(rules, direction) });
    subject[direction].dispose();
  }
  state.rules[subject.appliesTo].removeMember(id);
  state.subjects.delete(id);
  return true;
}
