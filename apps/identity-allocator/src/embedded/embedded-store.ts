// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { ClusterDirectory } from '../cluster/cluster-directory.ts';
import { WeirError } from '@weir/errors';
import { identityRange } from '@weir/model';
import { collectGarbage } from '../store/collect-garbage.ts';
import { createIdentityState, type IdentityState } from '../store/identity-state.ts';
import { storeLimits, type IdentityStore, type StoreTimes } from '../store/identity-store.ts';
import type { NumberRange } from '../store/number-pool.ts';
import { createOperationQueue } from '../store/operation-queue.ts';
import { openIdentityDatabase, type IdentityDatabase } from './database.ts';

export interface EmbeddedStoreOptions {
  /** The SQLite file; made with its directory when it is not there. */
  readonly path: string;
  readonly times: StoreTimes;
  readonly clock: Clock;
  /** Where numbers come from; the cluster's range by default. */
  readonly range?: NumberRange;
  /** What nodes announce; kept in memory only, they announce themselves again to an allocator that has restarted. */
  readonly directory?: ClusterDirectory;
  /** Numbers in [0, 1); decides which free number a label set gets. */
  readonly random: () => number;
  /** Called when the file can be neither written nor read again: what is in memory can no longer be trusted. */
  readonly onFatal: (error: WeirError) => void;
}

// One batch blocks the event loop for a write to the disk and a few milliseconds.
const batchOperationsMax = 256;

/**
 * Opens the store of a single allocator: SQLite, everything in memory for reading, one transaction for all operations of
 * one turn of the event loop. Throws like {@link openIdentityDatabase}.
 */
export function openEmbeddedStore(options: EmbeddedStoreOptions): IdentityStore {
  const database = openIdentityDatabase(options.path);
  try {
    return createEmbeddedStore(database, options);
  } catch (error) {
    database.close();
    throw error;
  }
}

function createEmbeddedStore(database: IdentityDatabase, options: EmbeddedStoreOptions): IdentityStore {
  let state = loadState(database, options);
  const listeners = new Set<() => void>();

  const commit = (runAll: () => void): void => {
    const before = state.identities.revision;
    try {
      database.commit(runAll);
    } catch (error) {
      state = reloadState(database, options);
      throw error;
    }
    if (state.identities.revision > before) listeners.forEach((listener) => listener());
  };
  const queue = createOperationQueue({
    commit,
    batchOperationsMax,
    queuedOperationsMax: storeLimits.queuedOperationsMax,
  });

  return {
    epoch: database.epoch,
    get revision() {
      return state.identities.revision;
    },
    away: undefined,
    get counts() {
      const { identities, references } = state;
      return {
        identities: identities.liveCount,
        nodes: references.nodeCount,
        references: references.referenceCount,
      };
    },
    allocate: (request, { signal } = {}) => queue.run(() => state.allocate(request), signal),
    release: ({ node, id }, { signal } = {}) => queue.run(() => state.release(node, id), signal),
    renewLease: ({ node, held }, { signal } = {}) => queue.run(() => state.renewLease(node, held), signal),
    // Where there is nobody else to tell.
    async announce(announcement) {
      options.directory?.announce(announcement);
    },
    expireNodes: () => Promise.resolve(options.directory?.expire() ?? []),
    catchUp: () => Promise.resolve(),
    collectGarbage: () => collectGarbage({ state: () => state, run: queue.run, clock: options.clock }),
    get(id) {
      const identity = state.identities.byId(id);
      return identity?.retired === false ? identity : undefined;
    },
    referencesTo: (id) => state.references.countOf(id),
    list: (afterId) => state.identities.list(afterId),
    changesAfter: (revision, limit) => state.identities.changesAfter(revision, limit),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      await queue.close();
      database.close();
    },
  };
}

function loadState(database: IdentityDatabase, options: EmbeddedStoreOptions): IdentityState {
  const { path, times, clock, random, range = identityRange.cluster } = options;
  try {
    return createIdentityState({ stored: database.load(), journal: database.journal, times, clock, random, range });
  } catch (error) {
    if (!(error instanceof WeirError) || error.code !== 'CORRUPT_STATE' || error.details.path === path) throw error;
    const message = `Identity store "${path}" contradicts itself: ${error.message}; it was left as it is`;
    throw new WeirError('CORRUPT_STATE', message, { details: { path } });
  }
}

/** After a failed write the memory is ahead of the file. The file is right. */
function reloadState(database: IdentityDatabase, options: EmbeddedStoreOptions): IdentityState {
  try {
    return loadState(database, options);
  } catch (error) {
    options.onFatal(WeirError.from(error));
    throw error;
  }
}
