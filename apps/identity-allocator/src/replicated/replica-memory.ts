// SPDX-License-Identifier: Apache-2.0
import { createIdentityState, type IdentityState, type IdentityStateOptions } from '../store/identity-state.ts';
import { createIdentityTable, type IdentityTable } from '../store/identity-table.ts';
import type { StateChange } from '../store/state-change.ts';
import { createUndoLog } from '../store/undo-log.ts';
import { changesFromEntry, snapshotFromState } from './entry-text.ts';
import type { LogContent, LogPosition } from './shared-log.ts';

/** What one replica has in memory of one epoch of the log. */
export interface ReplicaMemory {
  readonly epoch: string;
  /** How far in the log. */
  readonly position: LogPosition;
  /** What readers see: only what is durable. */
  readonly identities: Pick<IdentityTable, 'revision' | 'liveCount' | 'byId' | 'list' | 'changesAfter'>;
  /** The rules, which work ahead of what is durable while a batch is on its way. */
  readonly state: IdentityState;
  /** What the rules have changed since the last `keep` or `takeBack`. */
  readonly pending: readonly StateChange[];
  /** Something that others should know besides. */
  add(change: StateChange): void;
  /** The pending changes are the next entry of the log. True when identities are among them. */
  keep(): boolean;
  /** The pending changes have not happened. */
  takeBack(): void;
  /** Takes over the next entry of the log. True when identities are in it. */
  apply(entry: string): boolean;
  snapshot(): string;
}

export type ReplicaMemoryOptions = Omit<IdentityStateOptions, 'stored' | 'journal' | 'undo'>;

/** Makes the memory out of all that the log says. */
export function createReplicaMemory(content: LogContent, options: ReplicaMemoryOptions): ReplicaMemory {
  const undo = createUndoLog();
  const visible = createIdentityTable();
  let pending: StateChange[] = [];
  const state = createIdentityState({
    ...options,
    stored: { identities: [], references: [] },
    undo,
    journal: {
      putIdentity: (identity) => void pending.push({ kind: 'identity', identity }),
      addReference: (reference) => void pending.push({ kind: 'hold', ...reference }),
      removeReference: (reference) => void pending.push({ kind: 'release', ...reference }),
      removeNode: (node) => void pending.push({ kind: 'expire', node }),
    },
  });
  let position: LogPosition = { epoch: content.position.epoch, sequence: content.snapshotSequence };
  const show = (changes: readonly StateChange[]): boolean => {
    const { revision } = visible;
    for (const change of changes) if (change.kind === 'identity') visible.put(change.identity);
    return visible.revision > revision;
  };
  const advance = (): void => {
    position = { ...position, sequence: position.sequence + 1 };
  };
  const takeOver = (entry: string): boolean => {
    const changes = changesFromEntry(entry);
    changes.forEach((change) => state.apply(change));
    undo.keep();
    return show(changes);
  };
  const memory: ReplicaMemory = {
    epoch: position.epoch,
    get position() {
      return position;
    },
    identities: visible,
    state,
    get pending() {
      return pending;
    },
    add: (change) => void pending.push(change),
    keep() {
      undo.keep();
      const changes = pending;
      pending = [];
      advance();
      return show(changes);
    },
    takeBack() {
      undo.takeBack();
      pending = [];
    },
    apply(entry) {
      advance();
      return takeOver(entry);
    },
    snapshot: () => snapshotFromState({ identities: visible.all(), references: state.references.all() }),
  };
  if (content.snapshot !== undefined) takeOver(content.snapshot);
  content.entries.forEach(memory.apply);
  // Leases of nodes that hold nothing any more are of no use.
  state.beginAnew();
  return memory;
}
