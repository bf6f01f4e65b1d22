// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import type { StoreTimes } from '../store/identity-store.ts';
import type { Logger } from '@weir/telemetry';
import { entryFromChanges } from './entry-text.ts';
import type { LogFollower } from './log-follower.ts';
import type { ReplicaMemory } from './replica-memory.ts';
import type { SharedLog } from '@weir/shared-log';
import type { StoreContact } from './store-contact.ts';

/** Makes batches of operations durable as entries of the log. */
export interface BatchWriter {
  /** For the operation queue. Fails with UNAVAILABLE when the store stays away. */
  commit(runAll: () => void): Promise<void>;
  /** A node renews its lease here: the others are told with the next entry, or soon by one of its own. */
  renewed(node: string): void;
  /**
   * For an operation: if its batch turns out to change nothing, that is to be true of the log as it is now, not as it was a
   * moment ago.
   */
  requireCurrent(): void;
  /** The batch that is on its way; undefined when none is, and what is in memory is what is durable. */
  readonly flight: Promise<void> | undefined;
  /** Begins to tell the others of renewals from time to time, by running an empty batch. */
  start(runEmptyBatch: () => Promise<unknown>): void;
  stop(): void;
}

export interface BatchWriterOptions {
  readonly log: SharedLog;
  readonly memory: () => ReplicaMemory;
  readonly follower: LogFollower;
  readonly contact: StoreContact;
  readonly clock: Clock;
  readonly times: StoreTimes;
  readonly logger: Logger;
  readonly entriesPerSnapshot: number;
  readonly tellListeners: () => void;
}

// A store that elects a new leader is back within that time; agents wait longer for an answer.
const patienceMs = 2_500;
// What was true so long ago may still be said by an answer that changes nothing, to a node that says all that it holds or has.
const freshMsMax = 2_000;
// A renewal that nobody else heard of before this replica died costs its node that much of a lease.
const renewalReportsPerLease = 10;

/** Makes the writer; `commit` is for one batch at a time. */
export function createBatchWriter(options: BatchWriterOptions): BatchWriter {
  const { log, memory, follower, contact, clock, times } = options;
  const freshMs = Math.min(freshMsMax, times.leaseMs / 4);
  const renewals = createRenewals();
  const compactAtTimes = createCompaction(options);
  let flight: Promise<void> | undefined;
  let currentRequired = false;

  /** One attempt; false when the batch has to run again on what others have written. `isCurrent`: read since it began. */
  const attempt = async (runAll: () => void, isCurrent: boolean): Promise<boolean> => {
    const current = memory();
    currentRequired = false;
    try {
      runAll();
    } catch (error) {
      current.takeBack();
      throw error;
    }
    const nodes = renewals.due(current.pending.length > 0);
    if (nodes.length > 0) current.add({ kind: 'renewed', nodes });
    if (current.pending.length === 0) return currentRequired ? isCurrent : follower.isFresh(freshMs);
    const added = await log.append(current.position, entryFromChanges(current.pending)).catch((error: unknown) => {
      // Perhaps it was added after all: then the follower brings it, and the batch finds done what it wants.
      current.takeBack();
      throw error;
    });
    if (!added) {
      current.takeBack();
      return false;
    }
    renewals.told();
    follower.confirmed();
    if (current.keep()) options.tellListeners();
    return true;
  };
  const land = (): void => {
    flight = undefined;
  };
  const fly = (runAll: () => void, isCurrent: boolean): Promise<boolean> => {
    const attempted = attempt(runAll, isCurrent);
    flight = attempted.then(land, land);
    return attempted.finally(land);
  };

  return {
    async commit(runAll) {
      const untilMs = clock.monotonicMs() + patienceMs;
      let isCurrent = false;
      for (;;) {
        await contact.wait(Math.max(1, untilMs - clock.monotonicMs()));
        try {
          if (await fly(runAll, isCurrent)) return compactAtTimes();
          await follower.catchUp();
          isCurrent = true;
        } catch (error) {
          if (!isAway(error)) throw error;
          follower.lost(error);
        }
      }
    },
    renewed: renewals.add,
    requireCurrent() {
      currentRequired = true;
    },
    get flight() {
      return flight;
    },
    ...createReports(options, renewals),
  };
}

/** Tells the others of renewals from time to time. */
function createReports({ clock, times }: BatchWriterOptions, renewals: Renewals): Pick<BatchWriter, 'start' | 'stop'> {
  let cancelTimer: CancelTimer = () => undefined;
  return {
    start(runEmptyBatch) {
      const next = (): void => {
        cancelTimer = clock.schedule(times.leaseMs / renewalReportsPerLease, () => {
          next();
          if (renewals.makeDue()) runEmptyBatch().catch(ignore);
        });
      };
      next();
    },
    stop: () => cancelTimer(),
  };
}

type Renewals = ReturnType<typeof createRenewals>;

/** The nodes that have renewed here since the others were told. */
function createRenewals() {
  const nodes = new Set<string>();
  let isDue = false;
  return {
    add: (node: string): void => void nodes.add(node),
    /** Who is to be told of now; whatever is written takes them along. */
    due: (writesAnyway: boolean): readonly string[] => (writesAnyway || isDue ? [...nodes] : []),
    /** Operations run only within an attempt: nobody was added since. */
    told(): void {
      nodes.clear();
      isDue = false;
    },
    /** Has the next attempt tell, whatever else it does; false when there is nobody to tell of. */
    makeDue: (): boolean => (isDue = nodes.size > 0),
  };
}

/** Whoever has written the last entry before a snapshot is due writes that. */
function createCompaction({ log, memory, logger, entriesPerSnapshot }: BatchWriterOptions): () => void {
  let compactedAt = 0;
  return () => {
    const { sequence } = memory().position;
    if (sequence % entriesPerSnapshot !== 0 || sequence === compactedAt) return;
    compactedAt = sequence;
    // Not awaited: batches go on meanwhile, and the next time will do if this one fails.
    log.compact(sequence, memory().snapshot()).catch((error: unknown) => {
      logger.warn({ error, revision: sequence }, 'Cannot write a snapshot of the log, trying again later');
    });
  };
}

const ignore = (): void => undefined;

const isAway = (error: unknown): boolean => {
  const { code } = error as { code?: unknown };
  return code === 'UNAVAILABLE' || code === 'TIMEOUT' || code === 'CANCELLED';
};
