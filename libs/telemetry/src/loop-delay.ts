// SPDX-License-Identifier: Apache-2.0
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** How late the event loop was with its timers, in milliseconds. */
export interface LoopDelay {
  readonly meanMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Measures how long the event loop is blocked. */
export interface LoopDelayMonitor {
  /** The delays since the last reading. */
  read(): LoopDelay;
  stop(): void;
}

/**
 * Starts measuring. The loop is sampled every `resolutionMs`, which is what the monitor costs: ten wake-ups a second by
 * default, not to be seen in idle CPU. Stalls shorter than that are seen in proportion, longer ones always.
 */
export function createLoopDelayMonitor({ resolutionMs = 100 } = {}): LoopDelayMonitor {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  // The histogram holds the time between two samples, which on an idle loop is the resolution itself.
  const delayMs = (intervalNs: number): number => Math.max(0, intervalNs / 1e6 - resolutionMs);
  return {
    read() {
      const none = histogram.count === 0;
      const delay = {
        meanMs: none ? 0 : delayMs(histogram.mean),
        p99Ms: none ? 0 : delayMs(histogram.percentile(99)),
        maxMs: none ? 0 : delayMs(histogram.max),
      };
      histogram.reset();
      return delay;
    },
    stop: () => void histogram.disable(),
  };
}
