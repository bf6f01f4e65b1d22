// SPDX-License-Identifier: Apache-2.0
import { applyDelta, deltaOf, type AnnouncementDelta } from '../cluster/announcement-delta.ts';
import type { Announcement, ClusterDirectory, SharedPosition } from '../cluster/cluster-directory.ts';
import {
  createIdentityState,
  type IdentityJournal,
  type IdentityState,
  type IdentityStateOptions,
} from '../store/identity-state.ts';
import { createIdentityTable, type IdentityTable } from '../store/identity-table.ts';
import type { StateChange } from '../store/state-change.ts';
import { createUndoLog } from '../store/undo-log.ts';
import { changesFromEntry, snapshotFromState } from './entry-text.ts';
import type { LogContent, LogPosition } from '@weir/shared-log';

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
  /** A node says something of itself, as part of a batch. Refused like {@link ClusterDirectory.refuse}. */
  announce(announcement: Announcement): void;
  /** Begins all leases and graces anew. */
  beginAnew(): void;
  /** The pending changes are the next entry of the log. True when identities are among them. */
  keep(): boolean;
  /** The pending changes have not happened. */
  takeBack(): void;
  /** Takes over the next entry of the log. True when identities are in it. */
  apply(entry: string): boolean;
  snapshot(): string;
}

export interface ReplicaMemoryOptions extends Omit<IdentityStateOptions, 'stored' | 'journal' | 'undo'> {
  /** Shows what nodes have announced, as far as it is durable; what it shows already is brought in line. */
  readonly directory: ClusterDirectory;
}

/** Makes the memory out of all that the log says. */
export function createReplicaMemory(content: LogContent, options: ReplicaMemoryOptions): ReplicaMemory {
  const { directory } = options;
  const announced = createAnnounced(directory);
  const undo = createUndoLog();
  const visible = createIdentityTable();
  let pending: StateChange[] = [];
  const state = createIdentityState({
    ...options,
    stored: { identities: [], references: [] },
    undo,
    journal: createJournal((change) => void pending.push(change)),
  });
  let position: LogPosition = { epoch: content.position.epoch, sequence: content.snapshotSequence };
  const show = (changes: readonly StateChange[]): boolean => {
    const { revision } = visible;
    for (const change of changes) {
      if (change.kind === 'identity') visible.put(change.identity);
      if (change.kind === 'announce') announced.put(change.announcement);
      if (change.kind === 'expire') announced.forget(change.node);
    }
    return visible.revision > revision;
  };
  const advance = (): void => {
    position = { ...position, sequence: position.sequence + 1 };
    directory.reach(position.sequence);
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
    announce: (announcement) => announce(announcement, { directory, state, pending }),
    beginAnew: () => state.beginAnew([...directory.all()].map(({ name }) => name)),
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
    snapshot: () =>
      snapshotFromState({ identities: visible.all(), references: state.references.all() }, directory.all()),
  };
  if (content.snapshot !== undefined) takeOver(content.snapshot);
  announced.settle({ epoch: position.epoch, revision: position.sequence });
  content.entries.forEach(memory.apply);
  // Leases of nodes that hold nothing any more are of no use.
  memory.beginAnew();
  return memory;
}

/**
 * What nodes have announced, put into the directory. What the snapshot of the log says is put together aside: the directory knows
 * it as one, and how it came to be not at all.
 */
function createAnnounced(directory: ClusterDirectory) {
  let aside: Map<string, Announcement> | undefined = new Map();
  return {
    put(delta: AnnouncementDelta): void {
      if (aside === undefined) directory.put(applyDelta(delta, directory.get(delta.name)));
      else aside.set(delta.name, applyDelta(delta, aside.get(delta.name)));
    },
    forget(node: string): void {
      if (aside === undefined) directory.forget(node);
      else aside.delete(node);
    },
    settle(at: SharedPosition): void {
      const read = aside ?? new Map<string, Announcement>();
      aside = undefined;
      for (const { name } of [...directory.all()]) if (!read.has(name)) directory.forget(name);
      for (const announcement of read.values()) directory.put(announcement);
      directory.restart(at);
    },
  };
}

const createJournal = (write: (change: StateChange) => void): IdentityJournal => ({
  putIdentity: (identity) => write({ kind: 'identity', identity }),
  addReference: (reference) => write({ kind: 'hold', ...reference }),
  removeReference: (reference) => write({ kind: 'release', ...reference }),
  removeNode: (node) => write({ kind: 'expire', node }),
});

interface AnnounceDeps {
  readonly directory: ClusterDirectory;
  readonly state: IdentityState;
  readonly pending: StateChange[];
}

/** Adds to what is pending what is new; others of the same batch count as if they were durable. */
function announce(announcement: Announcement, { directory, state, pending }: AnnounceDeps): void {
  const { name } = announcement;
  const others = pending.flatMap((change) => (change.kind === 'announce' ? [change.announcement] : []));
  directory.refuse(
    announcement,
    others.map((delta) => ({ ...delta, endpoints: delta.changed })),
  );
  state.keepAlive(name);
  const known = others
    .filter((other) => other.name === name)
    .reduce((before: Announcement | undefined, delta) => applyDelta(delta, before), directory.get(name));
  const delta = deltaOf(announcement, known);
  if (delta !== undefined) pending.push({ kind: 'announce', announcement: delta });
}
