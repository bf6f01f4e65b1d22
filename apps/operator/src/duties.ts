// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { ClusterNode, ClusterWatcher } from '@weir/identity-client';
import { isIpv4Cidr, parseCidr } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { LeaderElection } from './leader/leader-election.ts';
import type { AbsentNodes } from './ranges/absent-nodes.ts';
import type { NodePodRanges } from './ranges/range-change.ts';
import type { RangeLedger } from './ranges/range-ledger.ts';

/** A garbage collection that was made. */
export interface CollectionReport {
  readonly atMs: number;
  readonly deleted: number;
}

/** What the leader does from time to time. */
export interface Duties {
  /** Why they could not be done the last time; undefined when they could. */
  readonly reason: string | undefined;
  readonly lastCollection: CollectionReport | undefined;
  readonly collections: number;
  readonly releases: number;
  start(): void;
  stop(): Promise<void>;
}

export interface DutiesOptions {
  readonly election: Pick<LeaderElection, 'isLeader'>;
  readonly ledger: Pick<RangeLedger, 'table' | 'refresh' | 'adopt' | 'release'>;
  readonly cluster: Pick<ClusterWatcher, 'nodes' | 'outOfSight'>;
  readonly absent: AbsentNodes;
  /** Nodes that are there whether or not they have announced themselves; nobody but those by default. */
  readonly isExpected?: (node: string) => boolean;
  /** Asks an allocator to collect; gives the numbers that were taken. */
  readonly collectGarbage: () => Promise<readonly number[]>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly graceMs: number;
  readonly gcIntervalMs: number;
}

const lookMsMax = 1_000;

/** Undefined for a node with several ranges of a family, or none. */
function announcedRanges({ podRanges }: ClusterNode): NodePodRanges | undefined {
  const ranges = podRanges.map((text) => parseCidr(text));
  const [ipv4, ...otherIpv4] = ranges.filter(isIpv4Cidr);
  const [ipv6, ...otherIpv6] = ranges.filter((range) => !isIpv4Cidr(range));
  const isSimple = ipv4 !== undefined && ipv6 !== undefined && otherIpv4.length + otherIpv6.length === 0;
  return isSimple ? { ipv4, ipv6 } : undefined;
}

/** Brings the ledger in line with who is there. */
function createRangeKeeper({ ledger, cluster, absent, logger, isExpected = () => false }: DutiesOptions) {
  let releases = 0;
  return {
    get releases() {
      return releases;
    },
    async keep(): Promise<void> {
      if (cluster.outOfSight !== undefined) {
        absent.forget();
        throw new WeirError('UNAVAILABLE', `Nobody can say which nodes there are: ${cluster.outOfSight}`);
      }
      await ledger.refresh();
      // Told their ranges, or given them by an operator whose store is lost: they have them, whatever the log says.
      for (const node of cluster.nodes.values()) {
        const ranges = ledger.table.get(node.name) === undefined ? announcedRanges(node) : undefined;
        if (ranges !== undefined) await ledger.adopt(node.name, ranges);
      }
      const isPresent = (name: string): boolean => cluster.nodes.has(name) || isExpected(name);
      for (const [node, ranges] of absent.look(ledger.table.all(), isPresent)) {
        await ledger.release(node, ranges);
        releases += 1;
        logger.warn({ node }, 'Node has been gone for long: its pod ranges are free');
      }
    },
  };
}

/** Makes the worker; one round follows the other. */
export function createDuties(options: DutiesOptions): Duties {
  const { election, absent, clock, logger } = options;
  const keeper = createRangeKeeper(options);
  let reason: string | undefined;
  let lastCollection: CollectionReport | undefined;
  let collections = 0;
  let collectAtMs = -Infinity;
  let cancelTimer: CancelTimer = () => undefined;
  let running: Promise<void> = Promise.resolve();
  let state: 'idle' | 'running' | 'stopped' = 'idle';

  const collect = async (): Promise<void> => {
    if (clock.monotonicMs() < collectAtMs) return;
    const deleted = await options.collectGarbage();
    collectAtMs = clock.monotonicMs() + options.gcIntervalMs;
    lastCollection = { atMs: clock.nowMs(), deleted: deleted.length };
    collections += 1;
    if (deleted.length > 0) logger.info({ count: deleted.length }, 'Unused identities retired');
  };
  const round = async (): Promise<void> => {
    if (!election.isLeader) {
      absent.forget();
      reason = undefined;
      return;
    }
    const results = await Promise.allSettled([keeper.keep(), collect()]);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [WeirError.from(result.reason)] : []));
    const [first] = failures;
    if (first !== undefined && reason === undefined) logger.warn({ error: first }, 'Not all duties could be done');
    reason = first?.message;
  };
  const run = async (): Promise<void> => {
    running = round();
    await running;
    const pauseMs = Math.min(lookMsMax, options.graceMs / 4, options.gcIntervalMs);
    if (state === 'running') cancelTimer = clock.schedule(pauseMs, () => void run());
  };
  return {
    get reason() {
      return reason;
    },
    get lastCollection() {
      return lastCollection;
    },
    get collections() {
      return collections;
    },
    get releases() {
      return keeper.releases;
    },
    start() {
      state = 'running';
      void run();
    },
    async stop() {
      state = 'stopped';
      cancelTimer();
      await running;
    },
  };
}
