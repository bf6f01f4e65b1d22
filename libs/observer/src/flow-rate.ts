// SPDX-License-Identifier: Apache-2.0

const windowS = 60;

/** Counts how many flows came in the last minute. */
export interface FlowRate {
  /** Takes note of how many there have been in all. */
  sample(seen: number): void;
  /** Flows a second over the last minute, or since the start if that was later. */
  perSecond(seen: number): number;
}

/** Keeps one number for each second. `now` gives milliseconds that never go back. */
export function createFlowRate(now: () => number = () => performance.now()): FlowRate {
  const startMs = now();
  const samples: { readonly atMs: number; readonly seen: number }[] = [{ atMs: startMs, seen: 0 }];
  return {
    sample(seen) {
      samples.push({ atMs: now(), seen });
      while (samples.length > windowS + 1) samples.shift();
    },
    perSecond(seen) {
      const [oldest] = samples;
      const seconds = Math.max(1, (now() - (oldest?.atMs ?? startMs)) / 1_000);
      return (seen - (oldest?.seen ?? 0)) / seconds;
    },
  };
}
