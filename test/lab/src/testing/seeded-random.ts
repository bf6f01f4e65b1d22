// SPDX-License-Identifier: Apache-2.0

/** Random numbers that a failure can be repeated with: WEIR_SEED, printed with the failure, makes them the same again. */
export interface SeededRandom {
  readonly seed: number;
  /** From 0, less than `max`. */
  below(max: number): number;
}

/** Mulberry32: 32 bits of state are enough to choose what happens next. */
export function createSeededRandom(
  seed = Number(process.env['WEIR_SEED'] ?? Math.floor(Math.random() * 2 ** 32)),
): SeededRandom {
  let state = seed >>> 0;
  return {
    seed,
    below(max) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % max;
    },
  };
}
