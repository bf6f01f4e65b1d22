// SPDX-License-Identifier: Apache-2.0
import { clusterPeer, directions, identityScope, isClusterIdentity, reservedIdentities } from '@weir/model';
import { WeirError } from '@weir/errors';
import type { Enforcement } from '../policy-entry.ts';
import type { Policy } from '../rule.ts';
import type { AttributeSet } from '../selector-spec.ts';
import { type ChangeRecord, createChangeRecord, type EntryChanges } from './change-record.ts';
import {
  contributions,
  enforcementOf,
  type EngineState,
  requireSubject,
  rulesFor,
  type Subject,
} from './engine-state.ts';
import type { PolicyUpdate, SubjectChange } from './engine-types.ts';
import type { ActiveRule } from './policy-repository.ts';
import type { PortTable } from './port-table.ts';
import { attributesOf, checkService } from './references.ts';
import type { CachedSelector } from './selector-cache.ts';
import { addSubject, isSameSubject, removeSubject } from './subjects.ts';

/** The rules that an update adds to a subject and takes from it, and what was enforced before. */
interface RuleChange {
  readonly added: Set<ActiveRule>;
  readonly removed: Set<ActiveRule>;
  readonly before: Enforcement;
}

/** What has happened so far in an update. */
interface Transaction {
  readonly state: EngineState;
  readonly record: ChangeRecord;
  readonly removedSubjects: Set<number>;
  readonly addedSubjects: Set<Subject>;
  readonly ruleChanges: Map<number, RuleChange>;
}

function checkUpdate(update: PolicyUpdate): void {
  for (const { id } of update.upsertIdentities ?? []) {
    const scope = identityScope(id);
    if (scope === 'invalid' || scope === 'unknown') {
      throw new WeirError('INVALID_ARGUMENT', `${id} is not an identity that a peer can have`);
    }
  }
  for (const { id } of update.upsertSubjects ?? []) {
    if (!Number.isSafeInteger(id) || id <= 0) {
      throw new WeirError('INVALID_ARGUMENT', `${id} is not a number that a subject can have`);
    }
  }
  for (const service of update.upsertServices ?? []) checkService(service);
  const reserved = update.deleteIdentities?.find((id) => reservedIdentities.has(id));
  if (reserved !== undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Identity ${reserved} is reserved; it cannot be deleted`);
  }
}

/** Brings what rules refer to up to date; nothing that can fail comes after it. */
function changeReferences({ references, identities }: EngineState, update: PolicyUpdate): void {
  for (const service of update.deleteServices ?? []) references.deleteService(service);
  for (const service of update.upsertServices ?? []) references.putService(service);
  for (const id of update.deleteIdentities ?? []) {
    references.countPorts(identities.get(id)?.namedPorts, -1);
    identities.delete(id);
  }
  for (const identity of update.upsertIdentities ?? []) {
    references.countPorts(identity.namedPorts, 1);
    references.countPorts(identities.get(identity.id)?.namedPorts, -1);
    identities.set(identity.id, identity);
  }
}

function ruleChangeOf({ state, ruleChanges }: Transaction, id: number): RuleChange {
  const known = ruleChanges.get(id);
  if (known !== undefined) return known;
  const change: RuleChange = { added: new Set(), removed: new Set(), before: enforcementOf(requireSubject(state, id)) };
  ruleChanges.set(id, change);
  return change;
}

function dropRule(transaction: Transaction, rule: ActiveRule): void {
  const cache = rulesFor(transaction.state, rule.rule);
  for (const id of cache.find(rule.rule.subject)?.members ?? []) ruleChangeOf(transaction, id).removed.add(rule);
  cache.release(rule.rule.subject, rule);
}

function bringRule(transaction: Transaction, rule: ActiveRule): void {
  const { members } = rulesFor(transaction.state, rule.rule).use(rule.rule.subject, rule);
  for (const id of members) ruleChangeOf(transaction, id).added.add(rule);
}

function removePolicy(transaction: Transaction, key: string): void {
  const { repository } = transaction.state;
  for (const rule of repository.rulesOf(key)) dropRule(transaction, rule);
  repository.delete(key);
}

function putPolicy(transaction: Transaction, policy: Policy): void {
  removePolicy(transaction, policy.key);
  for (const rule of transaction.state.repository.put(policy)) bringRule(transaction, rule);
}

/** Applies the policies of an update, as yet without effect on subjects; true when there was anything to do. */
function changePolicies(transaction: Transaction, update: PolicyUpdate): boolean {
  const { repository } = transaction.state;
  let hasChanged = false;
  for (const key of update.deletePolicies ?? []) {
    if (repository.get(key) === undefined) continue;
    removePolicy(transaction, key);
    hasChanged = true;
  }
  for (const policy of update.upsertPolicies ?? []) {
    if (repository.get(policy.key)?.document === policy.document) continue;
    putPolicy(transaction, policy);
    hasChanged = true;
  }
  return hasChanged;
}

/** Takes rules that refer to something that has changed to what it is now. */
function renewRules(transaction: Transaction): void {
  const { repository, references } = transaction.state;
  for (const rule of repository.outdated()) {
    dropRule(transaction, rule);
    bringRule(transaction, repository.renew(rule));
  }
  references.settle();
}

const tablesOf = ({ peers }: EngineState, id: number): Set<PortTable> =>
  new Set([...peers.selectorsOf(id)].flatMap(({ users }) => [...users]));

/** Notes all that changes when a selector begins or ceases to stand for all pods at once. */
function noteTurned({ record }: Transaction, selectors: readonly CachedSelector<PortTable>[]): void {
  const note = (table: PortTable, peer: number): void => record.touch(table, peer);
  for (const { users, members } of selectors) {
    const pods = [...members].filter(isClusterIdentity);
    for (const table of users) {
      table.noteAround(clusterPeer, note);
      for (const peer of pods) table.noteAround(peer, note);
    }
  }
}

function removeIdentity(transaction: Transaction, id: number): void {
  const { state, record } = transaction;
  noteTurned(transaction, state.peers.turnedByRemoving(id));
  for (const table of tablesOf(state, id)) table.noteAround(id, (place, peer) => record.touch(place, peer));
  state.peers.removeMember(id);
}

function addIdentity(transaction: Transaction, id: number, attributes: AttributeSet): void {
  const { state, record } = transaction;
  if (state.peers.attributesOf(id)?.key === attributes.key) return;
  removeIdentity(transaction, id);
  noteTurned(transaction, state.peers.turnedByAdding(id, attributes));
  state.peers.addMember(id, attributes);
  for (const table of tablesOf(state, id)) table.noteAround(id, (place, peer) => record.touchNew(place, peer));
}

function applyRuleChanges({ state, ruleChanges, record }: Transaction): void {
  for (const [id, { added, removed }] of ruleChanges) {
    const subject = requireSubject(state, id);
    for (const direction of directions) {
      const change = { added: contributions(added, direction), removed: contributions(removed, direction) };
      subject[direction].change(change, record);
    }
  }
}

const noChanges: EntryChanges = { upserted: [], deleted: [] };

const isSameEnforcement = (a: Enforcement, b: Enforcement): boolean =>
  a.ingressEnforced === b.ingressEnforced &&
  a.egressEnforced === b.egressEnforced &&
  a.ingressDefaultAllow === b.ingressDefaultAllow &&
  a.egressDefaultAllow === b.egressDefaultAllow;

function changesOfSubject(transaction: Transaction, id: number, entries: EntryChanges): SubjectChange | undefined {
  const now = enforcementOf(requireSubject(transaction.state, id));
  const { before = now } = transaction.ruleChanges.get(id) ?? {};
  if (isSameEnforcement(before, now) && entries.upserted.length + entries.deleted.length === 0) return undefined;
  return { subject: id, kind: 'changed', ...now, rulesChanged: transaction.ruleChanges.has(id), ...entries };
}

const unenforced: Enforcement = {
  ingressEnforced: false,
  egressEnforced: false,
  ingressDefaultAllow: false,
  egressDefaultAllow: false,
};

function describeChanges(transaction: Transaction): SubjectChange[] {
  const { state, record, addedSubjects, removedSubjects, ruleChanges } = transaction;
  const changes: SubjectChange[] = [];
  for (const subject of removedSubjects) {
    if (state.subjects.has(subject)) continue;
    changes.push({ subject, kind: 'removed', ...unenforced, rulesChanged: true, ...noChanges });
  }
  const entries = record.collect();
  for (const id of new Set([...ruleChanges.keys(), ...entries.keys()])) {
    const change = changesOfSubject(transaction, id, entries.get(id) ?? noChanges);
    if (change !== undefined) changes.push(change);
  }
  for (const subject of addedSubjects) {
    const upserted = directions.flatMap((direction) => [...subject[direction].entries()]);
    changes.push({
      subject: subject.id,
      kind: 'added',
      ...enforcementOf(subject),
      rulesChanged: true,
      upserted,
      deleted: [],
    });
  }
  return changes;
}

/**
 * Applies an update to a state and tells what it changed. Cells of policy maps that a change could concern are noted
 * before it, whatever the order of changes; those that differ at the end are what has changed.
 */
export function applyUpdate(
  state: EngineState,
  update: PolicyUpdate,
): { readonly policiesChanged: boolean; readonly subjects: SubjectChange[] } {
  checkUpdate(update);
  const transaction: Transaction = {
    state,
    record: createChangeRecord(),
    removedSubjects: new Set(),
    addedSubjects: new Set(),
    ruleChanges: new Map(),
  };
  changeReferences(state, update);
  const replaced = (update.upsertSubjects ?? []).filter((subject) => !isSameSubject(state, subject));
  for (const id of [...(update.deleteSubjects ?? []), ...replaced.map(({ id: number }) => number)]) {
    if (removeSubject(state, id)) transaction.removedSubjects.add(id);
  }
  const policiesChanged = changePolicies(transaction, update);
  renewRules(transaction);
  for (const id of update.deleteIdentities ?? []) removeIdentity(transaction, id);
  for (const identity of update.upsertIdentities ?? []) addIdentity(transaction, identity.id, attributesOf(identity));
  applyRuleChanges(transaction);
  for (const subject of update.upsertSubjects ?? []) {
    const added = addSubject(state, subject);
    if (added !== undefined) transaction.addedSubjects.add(added);
  }

  const subjects = describeChanges(transaction);
  for (const id of transaction.ruleChanges.keys()) {
    for (const direction of directions) state.subjects.get(id)?.[direction].prune();
  }
  return { policiesChanged, subjects };
}
