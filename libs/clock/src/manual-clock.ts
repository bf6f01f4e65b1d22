// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';
import type { Clock } from './clock.ts';

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /**
   * Moves time forward and fires every timer that falls due, in the order of their times, letting promises settle after
   * each one.
   */
  advance(byMs: number): Promise<void>;
  /** Timers that wait to fire. */
  readonly pendingCount: number;
}

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Makes a clock for tests; it starts at `startMs`, by default at an arbitrary fixed date. */
export function createManualClock(startMs = 1_700_000_000_000): ManualClock {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const nextDue = (untilMs: number): Timer | undefined =>
    [...timers].filter((timer) => timer.dueMs <= untilMs).toSorted((a, b) => a.dueMs - b.dueMs)[0];

  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    schedule(delayMs, callback) {
      const timer = { dueMs: nowMs + Math.max(0, delayMs), callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(byMs) {
      assert(byMs >= 0, `time goes forward, not by ${byMs} ms`);
      const untilMs = nowMs + byMs;
      await settle();
      for (let timer = nextDue(untilMs); timer !== undefined; timer = nextDue(untilMs)) {
        timers.delete(timer);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.callback();
        await settle();
      }
      nowMs = untilMs;
    },
    get pendingCount() {
      return timers.size;
    },
  };
}
