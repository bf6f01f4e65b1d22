// SPDX-License-Identifier: Apache-2.0

/** Runs work so that only some of it goes on at the same time, in the order it came. */
export type Limiter = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** Lets at most `concurrentMax` pieces of work go on at the same time. */
export function createLimiter(concurrentMax: number): Limiter {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running === concurrentMax) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
