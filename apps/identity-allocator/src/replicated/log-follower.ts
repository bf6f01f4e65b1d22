// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { SharedLog } from '@weir/shared-log';
import type { Logger } from '@weir/telemetry';
import type { ReplicaMemory } from './replica-memory.ts';
import type { StoreContact } from './store-contact.ts';

/** Keeps the memory of a replica in line with what others write. */
export interface LogFollower {
  start(): void;
  stop(): Promise<void>;
  /** Reads what there is now. Not while a batch is on its way. */
  catchUp(): Promise<void>;
  /** Somebody else had no answer from the store: looks at once. */
  lost(error: unknown): void;
  /** A write of our own has just shown how far the log is. */
  confirmed(): void;
  /** Whether the memory was all that the store holds at most so long ago. */
  isFresh(withinMs: number): boolean;
}

export interface LogFollowerOptions {
  readonly log: SharedLog;
  readonly clock: Clock;
  readonly contact: StoreContact;
  readonly logger: Logger;
  readonly memory: () => ReplicaMemory;
  /** The batch that is on its way: what is in memory is ahead of the log until it has landed. */
  readonly flight: () => Promise<void> | undefined;
  readonly load: () => Promise<ReplicaMemory>;
  readonly replace: (memory: ReplicaMemory) => void;
  readonly tellListeners: () => void;
  readonly onFatal: (error: WeirError) => void;
}

// However quiet the log is: so often it is made sure that nothing was missed.
const quietMs = 1_000;
const retryMs = { initialMs: 50, maxMs: 1_000 } as const;

/** Makes the follower; nothing is read before `start`. */
export function createLogFollower(options: LogFollowerOptions): LogFollower {
  const { log, clock, contact, logger } = options;
  const stopped = new AbortController();
  const { pull, freshness } = createPuller(options);
  let wait = new AbortController();
  let running: Promise<void> = Promise.resolve();

  const lose = (error: unknown): void => {
    if (contact.away === undefined) logger.warn({ error }, 'The store is away');
    contact.lost(error);
    options.tellListeners();
  };
  const run = async (): Promise<void> => {
    const backoff = createBackoff(retryMs);
    while (!stopped.signal.aborted) {
      wait = new AbortController();
      try {
        await pull();
        backoff.reset();
        await log.changed({ waitMs: quietMs, signal: AbortSignal.any([stopped.signal, wait.signal]) });
      } catch (error) {
        if (stopped.signal.aborted) return;
        const failure = WeirError.from(error);
        if (failure.code === 'CORRUPT_STATE' || failure.code === 'INTERNAL') return options.onFatal(failure);
        lose(failure);
        await pause(backoff.nextMs());
      }
    }
  };
  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        cancel();
        stopped.signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = clock.schedule(delayMs, end);
      stopped.signal.addEventListener('abort', end, { once: true });
    });

  return {
    start: () => void (running = run()),
    stop() {
      stopped.abort(new WeirError('CANCELLED', 'The store is being closed'));
      return running;
    },
    catchUp: pull,
    lost(error) {
      lose(error);
      wait.abort();
    },
    confirmed: () => freshness.at(clock.monotonicMs()),
    isFresh: (withinMs) => clock.monotonicMs() - freshness.sinceMs() <= withinMs,
  };
}

/** Reads what there is, once. */
function createPuller({ log, clock, contact, logger, ...options }: LogFollowerOptions) {
  let confirmedAtMs = clock.monotonicMs();
  const confirm = (atMs: number): void => {
    confirmedAtMs = Math.max(confirmedAtMs, atMs);
  };
  const reload = async (): Promise<void> => {
    const loaded = await options.load();
    for (let flight = options.flight(); flight !== undefined; flight = options.flight()) await flight;
    options.replace(loaded);
    logger.warn({ epoch: loaded.epoch, revision: loaded.identities.revision }, 'Log read anew');
    options.tellListeners();
  };
  const read = async (): Promise<void> => {
    const { after, entries } = await log.read(options.memory().position);
    // No await after this: the next batch may begin at any moment.
    for (let flight = options.flight(); flight !== undefined; flight = options.flight()) await flight;
    // What we wrote ourselves meanwhile is in memory already.
    const current = options.memory();
    const news = entries.slice(current.position.sequence - after);
    if (news.map((entry) => current.apply(entry)).some(Boolean)) options.tellListeners();
  };
  return {
    freshness: { at: confirm, sinceMs: () => confirmedAtMs },
    async pull(): Promise<void> {
      const askedAtMs = clock.monotonicMs();
      await read().catch((error: unknown) => {
        if (WeirError.from(error).code !== 'FAILED_PRECONDITION') throw error;
        return reload();
      });
      confirm(askedAtMs);
      const awayMs = contact.regained();
      if (awayMs === undefined) return;
      logger.info({ durationMs: Math.round(awayMs) }, 'The store is back');
      options.tellListeners();
      // While nobody could renew a lease, nobody lost one.
      options.memory().beginAnew();
    },
  };
}
