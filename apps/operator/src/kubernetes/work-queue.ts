// SPDX-License-Identifier: Apache-2.0
import { type Backoff, type CancelTimer, type Clock, createBackoff } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';

/** Keys of objects that have to be looked at, each once however often it was added, one after the other. */
export interface WorkQueue {
  add(keys: Iterable<string>): void;
  /** Keys that wait, those of failed attempts among them. */
  readonly size: number;
  /** What went wrong the last time with a key that still waits; undefined when all went well. */
  readonly failure: WeirError | undefined;
  start(): void;
  stop(): Promise<void>;
}

export interface WorkQueueOptions {
  /** For messages: `nodes`. */
  readonly name: string;
  /** Brings one object in line; true when that took a write. What it throws is tried again later. */
  readonly process: (key: string) => Promise<boolean>;
  /** While false, keys wait. */
  readonly mayWork: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Writes at most, on average and at once; 10 and 50 by default. */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
}

const idleMs = 500;
const retryMs = { initialMs: 500, maxMs: 60_000 } as const;

interface Retry {
  readonly backoff: Backoff;
  atMs: number;
  error: WeirError;
}

/** Makes the queue; nothing is done before `start`. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { name, mayWork, clock, logger, rate = { perSecond: 10, burst: 50 } } = options;
  const waiting = new Set<string>();
  const retries = new Map<string, Retry>();
  const budget = createBudget(rate, clock);
  let cancelTimer: CancelTimer = () => undefined;
  let running: Promise<void> = Promise.resolve();
  let state: 'idle' | 'working' | 'sleeping' | 'stopped' = 'idle';

  const processOne = async (key: string): Promise<void> => {
    waiting.delete(key);
    try {
      if (await options.process(key)) budget.spend();
      retries.delete(key);
    } catch (thrown) {
      const error = WeirError.from(thrown);
      const before = retries.get(key);
      // Whatever was refused was asked.
      budget.spend();
      if (before?.error.message !== error.message)
        logger.warn({ service: name, path: key, error }, 'Tried again later');
      const backoff = before?.backoff ?? createBackoff(retryMs);
      retries.set(key, { backoff, error, atMs: clock.monotonicMs() + backoff.nextMs() });
    }
  };
  const isDue = (key: string): boolean => (retries.get(key)?.atMs ?? -Infinity) <= clock.monotonicMs();
  const work = async (): Promise<void> => {
    for (const [key, { atMs }] of retries) if (atMs <= clock.monotonicMs()) waiting.add(key);
    for (const key of [...waiting].filter(isDue)) {
      if (state === 'stopped' || !mayWork() || budget.waitMs() > 0) return;
      await processOne(key);
    }
  };
  const run = async (): Promise<void> => {
    state = 'working';
    running = mayWork() ? work() : Promise.resolve();
    await running;
    // The compiler does not see that it changes during an await.
    if ((state as string) === 'stopped') return;
    state = 'sleeping';
    const hasDue = mayWork() && [...waiting].some(isDue);
    cancelTimer = clock.schedule(hasDue ? Math.max(1, budget.waitMs()) : idleMs, () => void run());
  };
  return {
    add(keys) {
      for (const key of keys) {
        waiting.add(key);
        // It is not what failed any more.
        const retry = retries.get(key);
        if (retry !== undefined) retry.atMs = -Infinity;
      }
      if (state !== 'sleeping' || waiting.size === 0) return;
      cancelTimer();
      cancelTimer = clock.schedule(budget.waitMs(), () => void run());
    },
    get size() {
      return new Set([...waiting, ...retries.keys()]).size;
    },
    get failure() {
      return retries.values().next().value?.error;
    },
    start: () => void run(),
    async stop() {
      state = 'stopped';
      cancelTimer();
      await running;
    },
  };
}

/** What may be written now: a bucket that fills at a steady rate. */
function createBudget({ perSecond, burst }: { readonly perSecond: number; readonly burst: number }, clock: Clock) {
  let left = burst;
  let atMs = clock.monotonicMs();
  const fill = (): void => {
    const nowMs = clock.monotonicMs();
    left = Math.min(burst, left + ((nowMs - atMs) * perSecond) / 1_000);
    atMs = nowMs;
  };
  return {
    spend(): void {
      fill();
      left -= 1;
    },
    /** How long nothing may be written; 0: something may. */
    waitMs(): number {
      fill();
      return left >= 1 ? 0 : ((1 - left) * 1_000) / perSecond;
    },
  };
}
