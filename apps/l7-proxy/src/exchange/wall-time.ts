// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';

/** Wall-clock times to the microsecond, from a clock that is cheap to ask. */
export interface WallTime {
  /** Nanoseconds since 1970 of a moment on the monotonic clock. */
  atNs(monotonicMs: number): number;
  /** Follows a wall clock that somebody has set; to be called now and then. */
  follow(): void;
}

// Below it the difference is the wall clock's resolution, and following it would put calls out of order.
const driftMaxMs = 50;

/** Starts from the wall clock as it is now. */
export function createWallTime(clock: Clock): WallTime {
  let offsetMs = clock.nowMs() - clock.monotonicMs();
  return {
    atNs: (monotonicMs) => Math.round((offsetMs + monotonicMs) * 1000) * 1000,
    follow() {
      const nowMs = clock.nowMs() - clock.monotonicMs();
      if (Math.abs(nowMs - offsetMs) > driftMaxMs) offsetMs = nowMs;
    },
  };
}
