// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { assert, WeirError } from '@weir/errors';
import type { LabelSet } from '@weir/model';
import { storeLimits, type HeldIdentity, type StoredIdentity, type StoreTimes } from './identity-store.ts';
import { createIdentityTable, type IdentityTable } from './identity-table.ts';
import { createNumberPool, type NumberPool, type NumberRange } from './number-pool.ts';
import { createReferenceTable, type ReferenceTable } from './reference-table.ts';
import type { StateChange } from './state-change.ts';
import type { UndoLog } from './undo-log.ts';

/** Writes down what changes, in the order in which it changes. */
export interface IdentityJournal {
  /** Adds or replaces the identity with this number. */
  putIdentity(identity: StoredIdentity): void;
  addReference(reference: Reference): void;
  removeReference(reference: Reference): void;
  /** The node's lease ran out: it holds nothing any more. */
  removeNode(node: string): void;
}

/** What {@link IdentityState.allocate} takes. */
export interface AllocateRequest {
  readonly node: string;
  readonly labels: LabelSet;
  readonly knownId?: number;
}

export interface Reference {
  readonly node: string;
  readonly id: number;
}

/** What a journal holds. */
export interface StoredState {
  /** Ascending by revision. */
  readonly identities: Iterable<StoredIdentity>;
  readonly references: Iterable<Reference>;
}

export interface IdentityStateOptions {
  readonly stored: StoredState;
  readonly journal: IdentityJournal;
  readonly times: StoreTimes;
  readonly clock: Clock;
  /** Where numbers come from. */
  readonly range: NumberRange;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** Takes back what the journal could not make durable; leases that were prolonged stay so. */
  readonly undo?: UndoLog;
}

/**
 * The rules: which number a label set gets, who holds it, and when it is taken. Works on memory and tells the journal; a
 * function that throws a refusal has changed nothing. For one writer at a time.
 */
export interface IdentityState {
  readonly identities: Pick<IdentityTable, 'revision' | 'liveCount' | 'byId' | 'list' | 'changesAfter'>;
  readonly references: Pick<ReferenceTable, 'nodeCount' | 'referenceCount' | 'countOf' | 'expiredNodes' | 'all'>;
  allocate(request: AllocateRequest): { readonly identity: StoredIdentity; readonly created: boolean };
  release(node: string, id: number): void;
  renewLease(node: string, held: readonly HeldIdentity[]): { readonly lost: readonly number[] };
  /** Gives up everything that the node holds if its lease has run out; false if it has not. */
  expireNode(node: string): boolean;
  /** Retires identities that nobody held for the grace period, at most `countMax`. */
  retireUnreferenced(countMax: number): readonly number[];
  /** Begins the node's lease anew. */
  keepAlive(node: string): void;
  /** Takes over what another writer has made durable, without telling the journal. */
  apply(change: StateChange): void;
  /**
   * Begins all leases and graces anew: until now nobody could renew or take anything. `nodes` have leases although they hold
   * no identities.
   */
  beginAnew(nodes: Iterable<string>): void;
}

/** The tables in memory and the journal, changed together. */
interface Tables {
  readonly identities: IdentityTable;
  readonly references: ReferenceTable;
  readonly pool: NumberPool;
}

/** Makes the state out of what is stored. CORRUPT_STATE says what cannot be. */
export function createIdentityState(options: IdentityStateOptions): IdentityState {
  const { times, clock, undo } = options;
  const tables: Tables = {
    identities: createIdentityTable(undo),
    references: createReferenceTable({ leaseMs: times.leaseMs, ...(undo && { undo }) }),
    pool: createNumberPool(options),
  };
  const { identities, references, pool } = tables;
  const now = (): number => clock.monotonicMs();
  load({ stored: options.stored, tables, times, nowMs: now() });
  undo?.keep();
  const { put, addReference, removeReference } = createEditor(tables, options);

  const { numberFor, restore } = createNumbering(tables, { put, now, range: options.range });

  return {
    identities,
    references,
    allocate({ node, labels, knownId }) {
      const known = identities.byLabels(labels.key);
      const inUse = known !== undefined && !known.retired;
      const isNew = !inUse || !references.isHeld(node, known.id);
      refuseExcess(references, { node, count: references.heldBy(node).size + (isNew ? 1 : 0) });
      const identity = inUse ? known : put({ id: numberFor(labels, knownId), labels, retired: false });
      references.ensureLease(node, now());
      addReference(node, identity.id);
      return { identity, created: !inUse };
    },
    release: removeReference,
    renewLease(node, held) {
      refuseExcess(references, { node, count: held.length });
      references.renew(node, now());
      const lost: number[] = [];
      const kept = new Set<number>();
      for (const identity of held) {
        if (restore(identity)) kept.add(identity.id);
        else lost.push(identity.id);
      }
      kept.forEach((id) => addReference(node, id));
      [...references.heldBy(node)].filter((id) => !kept.has(id)).forEach((id) => removeReference(node, id));
      return { lost };
    },
    expireNode(node) {
      if (!references.isExpired(node, now())) return false;
      dropNode(references, node, now());
      options.journal.removeNode(node);
      return true;
    },
    retireUnreferenced(countMax) {
      const due = [...references.unreferencedFor(times.graceMs, now())].slice(0, countMax);
      for (const id of due) {
        const identity = identities.byId(id);
        assert(identity !== undefined && !identity.retired, `unreferenced identity ${id} is live`);
        put({ ...identity, retired: true });
        pool.retire(id, now() + times.reuseDelayMs);
        references.forget(id);
      }
      return due;
    },
    apply: createFollower(tables, options),
    keepAlive: (node) => references.renew(node, now()),
    beginAnew(nodes) {
      references.beginAnew(now());
      for (const node of nodes) references.ensureLease(node, now());
    },
  };
}

function dropNode(references: ReferenceTable, node: string, nowMs: number): void {
  [...references.heldBy(node)].forEach((id) => references.remove({ node, id }, nowMs));
  references.removeNode(node);
}

/** Brings the tables in line with the changes of others. */
function createFollower({ identities, references, pool }: Tables, { clock, times }: IdentityStateOptions) {
  const now = (): number => clock.monotonicMs();
  const put = (identity: StoredIdentity): void => {
    const former = identities.byId(identity.id);
    if (former === undefined || former.retired) {
      if (!pool.claim(identity.id)) throw corrupt(`identity ${identity.id} is outside the range of numbers`);
    }
    identities.put(identity);
    references.forget(identity.id);
    if (identity.retired) pool.retire(identity.id, now() + times.reuseDelayMs);
    else if (references.countOf(identity.id) === 0) references.addUnreferenced(identity.id, now());
  };
  return (change: StateChange): void => {
    switch (change.kind) {
      case 'identity':
        return put(change.identity);
      case 'hold':
        references.ensureLease(change.node, now());
        return references.add(change.node, change.id);
      case 'release':
        return references.remove(change, now());
      case 'expire':
        return dropNode(references, change.node, now());
      case 'announce':
        return references.renew(change.announcement.name, now());
      case 'renewed':
        return change.nodes.forEach((node) => references.renew(node, now()));
    }
  };
}

const corrupt = (problem: string): WeirError => new WeirError('CORRUPT_STATE', problem);

/** The changes that go to memory and journal alike. */
function createEditor({ identities, references }: Tables, { journal, clock }: IdentityStateOptions) {
  return {
    put(identity: Omit<StoredIdentity, 'revision'>): StoredIdentity {
      const stored = { ...identity, revision: identities.revision + 1 };
      identities.put(stored);
      journal.putIdentity(stored);
      return stored;
    },
    addReference(node: string, id: number): void {
      if (references.isHeld(node, id)) return;
      references.add(node, id);
      journal.addReference({ node, id });
    },
    removeReference(node: string, id: number): void {
      if (!references.isHeld(node, id)) return;
      references.remove({ node, id }, clock.monotonicMs());
      journal.removeReference({ node, id });
    },
  };
}

interface NumberingDeps {
  readonly put: (identity: Omit<StoredIdentity, 'revision'>) => void;
  readonly now: () => number;
  readonly range: NumberRange;
}

/** Which number a label set may have. */
function createNumbering({ identities, pool }: Tables, { put, now, range }: NumberingDeps) {
  return {
    /** The number for a label set that has none in use: its own from before, the one a node knows, or a free one. */
    numberFor(labels: LabelSet, knownId = 0): number {
      const former = identities.byLabels(labels.key);
      if (former !== undefined && pool.claim(former.id)) return former.id;
      if (pool.isNeverUsed(knownId) && pool.claim(knownId)) return knownId;
      const id = pool.take(now());
      if (id !== undefined) return id;
      throw exhausted(`All numbers from ${range.min} to ${range.max} are in use`);
    },
    /** Whether an identity is, or can become again, what a node says it is. */
    restore({ id, labels }: HeldIdentity): boolean {
      const known = identities.byLabels(labels.key);
      if (known !== undefined && known.id !== id) return false;
      if (known !== undefined && !known.retired) return true;
      if (known === undefined && !pool.isNeverUsed(id)) return false;
      assert(pool.claim(id), `number ${id} is free`);
      put({ id, labels, retired: false });
      return true;
    },
  };
}

/** Refuses a node that is one too many, or would hold too much. */
function refuseExcess(references: ReferenceTable, { node, count }: { node: string; count: number }): void {
  const { nodesMax, referencesPerNodeMax } = storeLimits;
  if (!references.hasLease(node) && references.nodeCount >= nodesMax) {
    throw exhausted(`Node "${node}" is one too many: ${nodesMax} nodes have leases`);
  }
  if (count > referencesPerNodeMax) {
    throw exhausted(`Node "${node}" would hold ${count} identities, at most ${referencesPerNodeMax}`);
  }
}

const exhausted = (message: string): WeirError => new WeirError('RESOURCE_EXHAUSTED', message);

interface LoadTarget {
  readonly stored: StoredState;
  readonly tables: Tables;
  readonly times: StoreTimes;
  readonly nowMs: number;
}

/** All times begin anew: while nobody was there to renew a lease with, nobody could. */
function load({ stored, tables, times, nowMs }: LoadTarget): void {
  const { identities, references, pool } = tables;
  for (const identity of stored.identities) {
    const { id, labels, revision, retired } = identity;
    if (!pool.claim(id)) throw corrupt(`identity ${id} is outside the range of numbers, or there twice`);
    if (identities.byLabels(labels.key) !== undefined) throw corrupt(`label set "${labels.key}" has two numbers`);
    if (revision <= identities.revision) throw corrupt(`identity ${id} has revision ${revision}, which is taken`);
    identities.put(identity);
    if (retired) pool.retire(id, nowMs + times.reuseDelayMs);
    else references.addUnreferenced(id, nowMs);
  }
  for (const { node, id } of stored.references) {
    if (identities.byId(id)?.retired !== false)
      throw corrupt(`node "${node}" holds identity ${id}, which is not there`);
    references.add(node, id);
    references.renew(node, nowMs);
  }
}
