// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { parseLabelSet, type LabelSet } from '@weir/model';
import type { weir } from '@weir/proto';
import type { IdentityEvents, KnownIdentity } from './events.ts';
import { createIdentityIndex } from './identity-index.ts';

/** How far into which history the cache is complete. */
export interface Cursor {
  readonly epoch: string;
  readonly revision: number;
}

/** Every identity of the cluster, as far as the allocator has told. */
export interface IdentityCache {
  readonly cursor: Cursor;
  readonly size: number;
  labelsOf(id: number): LabelSet | undefined;
  numberOf(labels: LabelSet): number | undefined;
  values(): Iterable<KnownIdentity>;
  /** Fills the cache with what was on disk, without events. */
  fill(cursor: Cursor, identities: Iterable<KnownIdentity>): void;
  /** Takes what a call of our own brought, ahead of the stream. */
  learn(identity: KnownIdentity): void;
  /** Takes one message of the stream. */
  apply(response: weir.identity.v1.WatchResponse): void;
  /** The node has no use for the number any more: what was to be removed meanwhile is removed now. */
  unused(id: number): void;
  /** The stream broke: a snapshot that had begun is worth nothing. */
  interrupt(): void;
  close(): void;
}

export interface IdentityCacheOptions {
  readonly events: IdentityEvents;
  readonly clock: Clock;
  /**
   * Whether the node itself uses the number. It keeps its meaning then, whatever the allocator says: the allocator does
   * not know of the use yet, or has forgotten it, and will be told.
   */
  readonly isInUse: (id: number) => boolean;
  /** Called after every change. */
  readonly onChange: () => void;
}

// A store that was lost knows an identity again when its nodes have renewed their leases, which they do as soon as they
// are connected. Until then a number that it does not know is not yet one that nobody uses.
const relearnMs = 60_000;

/** Makes an empty cache. */
export function createIdentityCache(options: IdentityCacheOptions): IdentityCache {
  const { events, clock, onChange } = options;
  const index = createIdentityIndex(options);
  let cursor: Cursor = { epoch: '', revision: 0 };
  let snapshot: { readonly seen: Set<number>; readonly isOtherHistory: boolean } | undefined;
  let unconfirmed = new Set<number>();
  let cancelForget: CancelTimer = () => undefined;

  const learn = (identity: KnownIdentity): void => {
    unconfirmed.delete(identity.id);
    snapshot?.seen.add(identity.id);
    index.upsert(identity);
  };
  const forgetUnconfirmed = (): void => {
    const gone = [...unconfirmed];
    unconfirmed = new Set();
    gone.forEach(index.remove);
    if (gone.length > 0) onChange();
  };
  const endSnapshot = (): void => {
    if (snapshot === undefined) return;
    const { seen, isOtherHistory } = snapshot;
    snapshot = undefined;
    const missing = [...index.values()].map(({ id }) => id).filter((id) => !seen.has(id));
    if (!isOtherHistory) return missing.forEach(index.remove);
    unconfirmed = new Set(missing);
    cancelForget();
    cancelForget = clock.schedule(relearnMs, forgetUnconfirmed);
  };

  return {
    get cursor() {
      return cursor;
    },
    get size() {
      return index.size;
    },
    labelsOf: index.labelsOf,
    numberOf: index.numberOf,
    values: index.values,
    fill(from, identities) {
      cursor = from;
      for (const identity of identities) index.put(identity);
    },
    learn(identity) {
      learn(identity);
      onChange();
    },
    apply({ epoch, revision, snapshot: begins, upserted, deleted, synced }) {
      if (begins) snapshot = { seen: new Set(), isOtherHistory: cursor.epoch !== '' && cursor.epoch !== epoch };
      for (const { id, labels } of upserted) {
        learn({ id: id ?? 0, labels: parseLabelSet(labels ?? []) });
      }
      for (const id of deleted) {
        snapshot?.seen.delete(id);
        index.remove(id);
      }
      if (synced) endSnapshot();
      // In the middle of a snapshot only the former position is one to continue from.
      if (snapshot === undefined) cursor = { epoch, revision };
      onChange();
      if (synced) events.onSynced?.(revision);
    },
    unused(id) {
      if (index.unused(id)) onChange();
    },
    interrupt() {
      snapshot = undefined;
    },
    close: () => cancelForget(),
  };
}
