// SPDX-License-Identifier: Apache-2.0
import { type Direction, directions, identityScope, reservedIdentities } from '@weir/model';
import { WeirError } from '@weir/errors';
import type { Policy } from '../rule.ts';
import { type ChangeRecord, createChangeRecord, type EntryChanges } from './change-record.ts';
import { createDirectionPolicy, type DirectionPolicy } from './direction-policy.ts';
import { contributions, type EngineState, requireSubject, rulesSelecting, type Subject } from './engine-state.ts';
import type { LabelledIdentity, PolicyUpdate, SubjectChange } from './engine-types.ts';
import type { ActiveRule } from './policy-repository.ts';
import type { PortTable } from './port-table.ts';

/** The rules that an update adds to a subject and takes from it, and what was enforced before. */
interface RuleChange {
  readonly added: Set<ActiveRule>;
  readonly removed: Set<ActiveRule>;
  readonly before: Enforced;
}

/** What has happened so far in an update. */
interface Transaction {
  readonly state: EngineState;
  readonly record: ChangeRecord;
  readonly removedSubjects: Set<number>;
  readonly addedSubjects: Set<Subject>;
  readonly ruleChanges: Map<number, RuleChange>;
}

type Enforced = Pick<SubjectChange, 'ingressEnforced' | 'egressEnforced'>;

const enforced = ({ ingress, egress }: Subject): Enforced => ({
  ingressEnforced: ingress.isEnforced,
  egressEnforced: egress.isEnforced,
});

function checkIdentities(identities: readonly LabelledIdentity[] | undefined, what: string): void {
  for (const { id } of identities ?? []) {
    const scope = identityScope(id);
    if (scope === 'invalid' || scope === 'unknown') {
      throw new WeirError('INVALID_ARGUMENT', `${id} is not an identity that a ${what} can have`);
    }
  }
}

function checkUpdate(update: PolicyUpdate): void {
  checkIdentities(update.upsertIdentities, 'peer');
  checkIdentities(update.upsertSubjects, 'subject');
  const reserved = update.deleteIdentities?.find((id) => reservedIdentities.has(id));
  if (reserved !== undefined) {
    throw new WeirError('INVALID_ARGUMENT', `Identity ${reserved} is reserved; it cannot be deleted`);
  }
}

function removeSubject({ state, removedSubjects }: Transaction, id: number): void {
  const subject = state.subjects.get(id);
  if (subject === undefined) return;
  const rules = rulesSelecting(state, id);
  for (const direction of directions) {
    subject[direction].change({ added: [], removed: contributions(rules, direction) });
    subject[direction].dispose();
  }
  state.rules.removeMember(id);
  state.subjects.delete(id);
  removedSubjects.add(id);
}

function addSubject({ state, addedSubjects }: Transaction, { id, labels }: LabelledIdentity): void {
  if (state.subjects.has(id)) return;
  const { options, peers } = state;
  const create = (direction: Direction): DirectionPolicy =>
    createDirectionPolicy({ subject: id, direction }, { cache: peers, options });
  const subject: Subject = { id, ingress: create('ingress'), egress: create('egress') };
  state.subjects.set(id, subject);
  state.rules.addMember(id, labels);
  const rules = rulesSelecting(state, id);
  for (const direction of directions) {
    subject[direction].change({ added: contributions(rules, direction), removed: [] });
  }
  addedSubjects.add(subject);
}

function ruleChangeOf({ state, ruleChanges }: Transaction, id: number): RuleChange {
  const known = ruleChanges.get(id);
  if (known !== undefined) return known;
  const change: RuleChange = { added: new Set(), removed: new Set(), before: enforced(requireSubject(state, id)) };
  ruleChanges.set(id, change);
  return change;
}

function removePolicy(transaction: Transaction, key: string): void {
  const { repository, rules } = transaction.state;
  for (const rule of repository.rulesOf(key)) {
    for (const id of rules.find(rule.rule.subject)?.members ?? []) {
      ruleChangeOf(transaction, id).removed.add(rule);
    }
    rules.release(rule.rule.subject, rule);
  }
  repository.delete(key);
}

function putPolicy(transaction: Transaction, policy: Policy): void {
  const { repository, rules } = transaction.state;
  removePolicy(transaction, policy.key);
  for (const rule of repository.put(policy)) {
    const { members } = rules.use(rule.rule.subject, rule);
    for (const id of members) ruleChangeOf(transaction, id).added.add(rule);
  }
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

const tablesOf = ({ peers }: EngineState, id: number): Set<PortTable> =>
  new Set([...peers.selectorsOf(id)].flatMap(({ users }) => [...users]));

function removeIdentity({ state, record }: Transaction, id: number): void {
  for (const table of tablesOf(state, id)) record.touch(table, id);
  state.peers.removeMember(id);
}

function addIdentity(transaction: Transaction, { id, labels }: LabelledIdentity): void {
  const { state, record } = transaction;
  if (state.peers.labelsOf(id)?.key === labels.key) return;
  removeIdentity(transaction, id);
  state.peers.addMember(id, labels);
  for (const table of tablesOf(state, id)) record.touchNew(table, id);
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

function changesOfSubject(transaction: Transaction, id: number, entries: EntryChanges): SubjectChange | undefined {
  const now = enforced(requireSubject(transaction.state, id));
  const { before = now } = transaction.ruleChanges.get(id) ?? {};
  const isSame = before.ingressEnforced === now.ingressEnforced && before.egressEnforced === now.egressEnforced;
  if (isSame && entries.upserted.length + entries.deleted.length === 0) return undefined;
  return { subject: id, kind: 'changed', ...now, rulesChanged: transaction.ruleChanges.has(id), ...entries };
}

function describeChanges(transaction: Transaction): SubjectChange[] {
  const { state, record, addedSubjects, removedSubjects, ruleChanges } = transaction;
  const changes: SubjectChange[] = [];
  for (const subject of removedSubjects) {
    if (state.subjects.has(subject)) continue;
    const nothing = { ingressEnforced: false, egressEnforced: false, rulesChanged: true, ...noChanges };
    changes.push({ subject, kind: 'removed', ...nothing });
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
      ...enforced(subject),
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
  const replaced = (update.upsertSubjects ?? []).filter(
    ({ id, labels }) => state.rules.labelsOf(id)?.key !== labels.key,
  );
  for (const id of update.deleteSubjects ?? []) removeSubject(transaction, id);
  for (const { id } of replaced) removeSubject(transaction, id);
  const policiesChanged = changePolicies(transaction, update);
  for (const id of update.deleteIdentities ?? []) removeIdentity(transaction, id);
  for (const identity of update.upsertIdentities ?? []) addIdentity(transaction, identity);
  applyRuleChanges(transaction);
  for (const subject of update.upsertSubjects ?? []) addSubject(transaction, subject);

  const subjects = describeChanges(transaction);
  for (const id of transaction.ruleChanges.keys()) {
    for (const direction of directions) state.subjects.get(id)?.[direction].prune();
  }
  return { policiesChanged, subjects };
}
