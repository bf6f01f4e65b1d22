// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { WeirError } from '@weir/errors';
import { identityRange } from '@weir/model';
import type { SharedLog } from '@weir/shared-log';
import type { Logger } from '@weir/telemetry';
import { collectGarbage, expireNodes } from '../store/collect-garbage.ts';
import { storeLimits, type IdentityStore, type StoreTimes } from '../store/identity-store.ts';
import type { NumberRange } from '../store/number-pool.ts';
import { createClusterDirectory, type ClusterDirectory } from '../cluster/cluster-directory.ts';
import { createOperationQueue, type OperationQueue } from '../store/operation-queue.ts';
import { createBatchWriter, type BatchWriter } from './batch-writer.ts';
import { createLogFollower, type LogFollower } from './log-follower.ts';
import { createReplicaMemory, type ReplicaMemory } from './replica-memory.ts';
import { createStoreContact, type StoreContact } from './store-contact.ts';

export interface ReplicatedStoreOptions {
  readonly log: SharedLog;
  /** What the store is called in messages, for example `etcd`. */
  readonly name: string;
  readonly times: StoreTimes;
  readonly clock: Clock;
  /** Where numbers come from; the cluster's range by default. */
  readonly range?: NumberRange;
  /** Shows what nodes announce to any replica; one that nobody else sees by default. */
  readonly directory?: ClusterDirectory;
  /** Numbers in [0, 1); decides which free number a label set gets. */
  readonly random: () => number;
  readonly logger: Logger;
  /** Called when the log says what cannot be: what is in memory can no longer be trusted. */
  readonly onFatal: (error: WeirError) => void;
  /** A snapshot is written after so many entries; 2,000 by default. */
  readonly entriesPerSnapshot?: number;
}

// Operations of one entry: a renewal names thousands of identities at most, the others one.
const batchOperationsMax = 256;

/**
 * Opens the store of several allocators, each of which has all of it in memory. Every batch of changes is one entry of a log
 * that all share; a batch that another replica was faster than is taken back and run again on what that one has written. Fails
 * with UNAVAILABLE when the store cannot be read, and with CORRUPT_STATE when it holds what cannot be.
 */
export async function openReplicatedStore(options: ReplicatedStoreOptions): Promise<IdentityStore> {
  const { log, times, clock, random, range = identityRange.cluster } = options;
  const { directory = createClusterDirectory({ epoch: '', leaseMs: times.leaseMs, clock }) } = options;
  const load = async (): Promise<ReplicaMemory> =>
    createReplicaMemory(await log.load(), { times, clock, random, range, directory });
  let memory = await load();
  const listeners = new Set<() => void>();
  const tellListeners = (): void => listeners.forEach((listener) => listener());
  const contact = createStoreContact({ clock, name: options.name });

  const follower = createLogFollower({
    ...{ log, clock, contact, logger: options.logger, onFatal: options.onFatal, tellListeners },
    memory: () => memory,
    flight: () => writer.flight,
    load,
    replace: (loaded) => (memory = loaded),
  });
  const writer = createBatchWriter({
    ...{ log, clock, contact, follower, tellListeners, times, logger: options.logger },
    memory: () => memory,
    entriesPerSnapshot: options.entriesPerSnapshot ?? 2_000,
  });
  const queue = createOperationQueue({
    commit: writer.commit,
    batchOperationsMax,
    queuedOperationsMax: storeLimits.queuedOperationsMax,
  });
  follower.start();
  writer.start(() => queue.run(() => undefined));
  const parts = { queue, writer, follower, contact, clock, listeners, log };
  return assemble(parts, () => memory);
}

interface Parts {
  readonly queue: OperationQueue;
  readonly writer: BatchWriter;
  readonly follower: LogFollower;
  readonly contact: StoreContact;
  readonly clock: Clock;
  readonly listeners: Set<() => void>;
  readonly log: SharedLog;
}

function assemble({ queue, writer, contact, listeners, ...parts }: Parts, current: () => ReplicaMemory): IdentityStore {
  return {
    get epoch() {
      return current().epoch;
    },
    get revision() {
      return current().identities.revision;
    },
    get away() {
      return contact.away;
    },
    get counts() {
      const { references } = current().state;
      const { nodeCount: nodes, referenceCount } = references;
      return { identities: current().identities.liveCount, nodes, references: referenceCount };
    },
    allocate(request, { signal } = {}) {
      return queue.run(() => {
        // A node that comes from another replica may have given up there what seems to be held here.
        writer.requireCurrent();
        writer.renewed(request.node);
        return current().state.allocate(request);
      }, signal);
    },
    release({ node, id }, { signal } = {}) {
      return queue.run(() => {
        writer.requireCurrent();
        current().state.release(node, id);
      }, signal);
    },
    renewLease({ node, held }, { signal } = {}) {
      return queue.run(() => {
        writer.renewed(node);
        return current().state.renewLease(node, held);
      }, signal);
    },
    catchUp: () => parts.follower.catchUp(),
    announce(announcement, { signal } = {}) {
      return queue.run(() => {
        writer.renewed(announcement.name);
        current().announce(announcement);
      }, signal);
    },
    expireNodes: () => expireNodes({ state: () => current().state, run: queue.run, clock: parts.clock }),
    collectGarbage: () => collectGarbage({ state: () => current().state, run: queue.run, clock: parts.clock }),
    get(id) {
      const identity = current().identities.byId(id);
      return identity?.retired === false ? identity : undefined;
    },
    referencesTo: (id) => current().state.references.countOf(id),
    list: (afterId) => current().identities.list(afterId),
    changesAfter: (revision, limit) => current().identities.changesAfter(revision, limit),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      await queue.close();
      writer.stop();
      await parts.follower.stop();
      contact.close();
      parts.log.close();
    },
  };
}
