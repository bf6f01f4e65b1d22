// SPDX-License-Identifier: Apache-2.0
import { systemClock, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { LabelSet } from '@weir/model';
import { IdentityAllocatorDefinition } from '@weir/proto';
import { createRpcClient, type TlsIdentity } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { allocatorConnection } from './allocator-connection.ts';
import { createCacheFile } from './cache-file.ts';
import type { IdentityEvents, KnownIdentity } from './events.ts';
import { createHeldIdentities } from './held-identities.ts';
import type { WaitingLabelSet } from './held-label-set.ts';
import { createIdentityCache, type Cursor, type IdentityCache } from './identity-cache.ts';
import { createLane } from './lane.ts';
import { createLeaseKeeper } from './lease-keeper.ts';
import { createWatchLoop, type AllocatorConnection, type WatchLoopOptions } from './watch-loop.ts';

export interface IdentityClientOptions {
  /** Where the allocators listen: `unix:/absolute/path` or `host:port`, with commas in between. */
  readonly address: string;
  /** For allocators over TCP. */
  readonly tls?: TlsIdentity;
  /** Name of this node; one client per node. */
  readonly node: string;
  /** Where known identities are kept: `<state-dir>/identities.json`. */
  readonly cachePath: string;
  readonly log: Logger;
  readonly events?: IdentityEvents;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** How long one call may take; 5,000 by default. */
  readonly deadlineMs?: number;
}

/** How the client is doing, for a status command. */
export interface IdentityClientStatus {
  readonly connection: AllocatorConnection;
  readonly identities: number;
  readonly epoch: string;
  readonly revision: number;
  /** Label sets in use on this node. */
  readonly held: number;
  /** Label sets that somebody waits for, each with the reason. */
  readonly waiting: readonly WaitingLabelSet[];
}

/** A node's view of the cluster's identities, and its own share in them. */
export interface IdentityClient {
  /** Reads what is on disk, then connects and keeps connected. Does not wait for the allocator. */
  start(): Promise<void>;
  /** Keeps the node's references: they last as long as its lease. Who waits is refused with CANCELLED. */
  stop(): Promise<void>;
  /**
   * The number of a label set, held until `release` was called as often. In use here or known while the allocator is
   * away: at once. Otherwise the allocator is asked, for as long as it takes; `status().waiting` says what for.
   * INVALID_ARGUMENT for labels that can have no identity, CANCELLED when `signal` aborts.
   */
  allocate(labels: LabelSet, options?: { readonly signal?: AbortSignal }): Promise<number>;
  /** One use less. Releasing more often than was allocated is a bug. */
  release(id: number): void;
  /**
   * Says what number a label set had on this node: that is known from now on, unless something newer is. For a node that
   * has lost, or has not yet written, what it knew.
   */
  recall(identity: KnownIdentity): void;
  labelsOf(id: number): LabelSet | undefined;
  /** The newest number known for a label set, held or not. */
  numberOf(labels: LabelSet): number | undefined;
  /** Everything that is known. */
  identities(): Iterable<KnownIdentity>;
  status(): IdentityClientStatus;
}

// A renewal gives up what it does not name. A node that has just started has not yet named all that it uses.
const settleMs = 10_000;

const isNews = (cache: IdentityCache, { id, labels }: KnownIdentity): boolean =>
  cache.labelsOf(id) === undefined && cache.numberOf(labels) === undefined;

const sayTo = (log: Logger): WatchLoopOptions<Cursor>['say'] => ({
  connected: ({ epoch, revision }) => log.info({ epoch, revision }, 'Connected to the identity-allocator'),
  away: (reason) => log.warn({ reason }, 'The identity-allocator is away, known identities go on working'),
});

/** Makes the client of a node. */
export function createIdentityClient(options: IdentityClientOptions): IdentityClient {
  const { node, log, events = {}, clock = systemClock, random = Math.random } = options;
  const rpc = createRpcClient(IdentityAllocatorDefinition, allocatorConnection(options));
  const cache = createIdentityCache({
    ...{ events, clock, isInUse: (id) => held.isInUse(id) },
    onChange: () => file.save(),
  });
  const file = createCacheFile({
    path: options.cachePath,
    content: () => ({ cursor: cache.cursor, identities: cache.values() }),
    clock,
    log,
  });
  let startedAtMs = Infinity;
  const lane = createLane();
  const held = createHeldIdentities({
    ...{ rpc, node, cache, lane, clock, random, events, log },
    onLease: (leaseMs) => lease.leaseLasts(leaseMs),
  });
  const lease = createLeaseKeeper({ rpc, node, held, lane, clock, random, log });
  const watch = createWatchLoop({
    open: ({ revision: afterRevision, ...from }, call) => rpc.watch({ ...from, afterRevision }, call),
    say: sayTo(log),
    node,
    clock,
    random,
    cursor: () => cache.cursor,
    onResponse: (response) => cache.apply(response),
    onConnected() {
      // First of all the allocator hears what is in use here: its store may have been lost.
      if (clock.monotonicMs() - startedAtMs > settleMs) lease.renewWithin(0);
      held.setReachable(true);
    },
    onDisconnected() {
      cache.interrupt();
      held.setReachable(false);
    },
  });

  return {
    async start() {
      const stored = await file.load();
      if (stored !== undefined) cache.fill(stored.cursor, stored.identities);
      startedAtMs = clock.monotonicMs();
      lease.renewWithin(settleMs);
      watch.start();
    },
    async stop() {
      held.close(new WeirError('CANCELLED', 'The identity client is stopping'));
      lease.stop();
      await watch.stop();
      cache.close();
      rpc.close();
      await file.flush();
    },
    allocate: (labels, { signal } = {}) => held.allocate(labels, signal),
    release: (id) => held.release(id),
    recall: (identity) => void (isNews(cache, identity) && cache.learn(identity)),
    labelsOf: (id) => cache.labelsOf(id),
    numberOf: (labels) => cache.numberOf(labels),
    identities: () => cache.values(),
    status: () => ({
      connection: watch.connection,
      identities: cache.size,
      epoch: cache.cursor.epoch,
      revision: cache.cursor.revision,
      held: held.held().length,
      waiting: held.waiting(),
    }),
  };
}
