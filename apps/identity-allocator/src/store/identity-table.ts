// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';
import type { Changes, StoredIdentity } from './identity-store.ts';
import { noUndo, type UndoLog } from './undo-log.ts';

/** All identities in memory, retired ones included, with an index by label set and one by revision. */
export interface IdentityTable {
  readonly revision: number;
  /** Identities that are not retired. */
  readonly liveCount: number;
  byId(id: number): StoredIdentity | undefined;
  byLabels(key: string): StoredIdentity | undefined;
  /** Adds or replaces. The revision must be greater than every one before. */
  put(identity: StoredIdentity): void;
  /** Live identities, ascending by number, above `afterId`. */
  list(afterId: number): Iterable<StoredIdentity>;
  changesAfter(revision: number, limit: { readonly bytesMax: number }): Changes;
  /** All identities, retired ones included, ascending by revision. */
  all(): StoredIdentity[];
}

// What a number and its framing add to the labels of an identity in a message.
const identityOverheadBytes = 16;

/** Makes an empty table. */
export function createIdentityTable(undo: UndoLog = noUndo): IdentityTable {
  const byId = new Map<number, StoredIdentity>();
  const byKey = new Map<string, StoredIdentity>();
  // Every change in order. An entry that is no longer what `byId` holds is stale: a reader needs only the newest one.
  let log: StoredIdentity[] = [];
  let liveCount = 0;
  const isStale = (entry: StoredIdentity): boolean => byId.get(entry.id) !== entry;
  const revision = (): number => log.at(-1)?.revision ?? 0;

  return {
    get revision() {
      return revision();
    },
    get liveCount() {
      return liveCount;
    },
    byId: (id) => byId.get(id),
    byLabels: (key) => byKey.get(key),
    put(identity) {
      assert(identity.revision > revision(), `revision ${identity.revision} comes after ${revision()}`);
      // Not while something may be taken back: what is stale now would be true again.
      if (undo.isEmpty && log.length > 2 * byId.size + 64) log = log.filter((entry) => !isStale(entry));
      const former = byId.get(identity.id);
      const sameSet = byKey.get(identity.labels.key);
      assert(sameSet === undefined || sameSet === former, `label set "${identity.labels.key}" has one number`);
      if (former !== undefined) byKey.delete(former.labels.key);
      byId.set(identity.id, identity);
      byKey.set(identity.labels.key, identity);
      const added = (identity.retired ? 0 : 1) - (former?.retired === false ? 1 : 0);
      liveCount += added;
      log.push(identity);
      undo.record(() => {
        log.pop();
        liveCount -= added;
        byKey.delete(identity.labels.key);
        byId.delete(identity.id);
        if (former === undefined) return;
        byId.set(former.id, former);
        byKey.set(former.labels.key, former);
      });
    },
    list: (afterId) =>
      [...byId.values()].filter(({ id, retired }) => id > afterId && !retired).toSorted((a, b) => a.id - b.id),
    all: () => [...byId.values()].toSorted((a, b) => a.revision - b.revision),
    changesAfter(after, { bytesMax }) {
      const upserted: StoredIdentity[] = [];
      const deleted: number[] = [];
      let bytes = 0;
      let index = firstAfter(log, after);
      for (; index < log.length && bytes < bytesMax; index += 1) {
        const entry = log[index] as StoredIdentity;
        if (isStale(entry)) continue;
        if (entry.retired) deleted.push(entry.id);
        else upserted.push(entry);
        bytes += identityOverheadBytes + (entry.retired ? 0 : entry.labels.key.length);
      }
      const complete = index >= log.length;
      const last = complete ? Math.max(after, revision()) : (log[index - 1] as StoredIdentity).revision;
      return { upserted, deleted, revision: last, complete };
    },
  };
}

/** Index of the first entry with a revision above `after`, by bisection. */
function firstAfter(log: readonly StoredIdentity[], after: number): number {
  let low = 0;
  let high = log.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((log[middle] as StoredIdentity).revision > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
