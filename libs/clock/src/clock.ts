// SPDX-License-Identifier: Apache-2.0

/** Stops a timer that has not fired yet; harmless afterwards. */
export type CancelTimer = () => void;

/** The time, and timers on it. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970: for what is written down and survives a restart. It may jump. */
  nowMs(): number;
  /** Milliseconds since an arbitrary point: for intervals within one process. Never goes back. */
  monotonicMs(): number;
  /** Calls `callback` once, `delayMs` from now. A pending timer does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): CancelTimer;
}

// The longest delay a timer of Node's can hold; a longer one would fire at once.
const timerDelayMaxMs = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(delayMs, timerDelayMaxMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
