// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Gives out numbers from 1 to a maximum, each to one owner at a time. */
export interface Numbering {
  /** The free number that was given back the longest ago. Throws RESOURCE_EXHAUSTED when there is none. */
  take(): number;
  /** Marks a number as used that somebody has already. */
  claim(number: number): void;
  release(number: number): void;
}

/**
 * Numbers go up and round, from behind `start`: one that was given back is not used again before all others have been, since
 * something in the kernel may still remember it.
 */
export function createNumbering(options: {
  readonly what: string;
  readonly max: number;
  readonly start?: number;
}): Numbering {
  const { what, max, start = 0 } = options;
  const used = new Set<number>();
  let last = start % max;
  return {
    take() {
      if (used.size >= max) throw new WeirError('RESOURCE_EXHAUSTED', `There are ${max} ${what}, and no room for more`);
      do last = (last % max) + 1;
      while (used.has(last));
      used.add(last);
      return last;
    },
    claim: (number) => void used.add(number),
    release: (number) => void used.delete(number),
  };
}
