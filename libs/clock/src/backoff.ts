// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';

/** How long to wait between attempts. */
export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Growth from one attempt to the next; 2 by default. */
  readonly factor?: number;
  /** Share of the delay that is random, so that many clients do not return in step; 0.2 by default, at most 1. */
  readonly jitter?: number;
  /** Numbers in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
}

/** The delays of one series of attempts. */
export interface Backoff {
  /** How long to wait before the next attempt; never more than `maxMs`. */
  nextMs(): number;
  /** Call on success: the next failure starts from `initialMs` again. */
  reset(): void;
}

/** Bounded exponential backoff with jitter: each delay lies in [(1 − jitter) × step, step]. */
export function createBackoff(options: BackoffOptions): Backoff {
  const { initialMs, maxMs, factor = 2, jitter = 0.2, random = Math.random } = options;
  assert(initialMs > 0 && maxMs >= initialMs && factor >= 1, `backoff from ${initialMs} to ${maxMs} ms by ${factor}`);
  assert(jitter >= 0 && jitter <= 1, `jitter ${jitter} is a share`);
  let stepMs = initialMs;
  return {
    nextMs() {
      const delayMs = stepMs * (1 - jitter * random());
      stepMs = Math.min(stepMs * factor, maxMs);
      return delayMs;
    },
    reset() {
      stepMs = initialMs;
    },
  };
}
