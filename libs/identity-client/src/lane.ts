// SPDX-License-Identifier: Apache-2.0

/** Lets many through together, or one alone. */
export interface Lane {
  /** Runs with others of its kind. */
  shared<Result>(run: () => Promise<Result>): Promise<Result>;
  /** Waits for all that run, runs alone, and keeps those that come later waiting. */
  alone<Result>(run: () => Promise<Result>): Promise<Result>;
}

/** Makes an empty lane. */
export function createLane(): Lane {
  // The next lone one waits for all that run, the next shared one for the last lone one.
  const running = new Set<Promise<void>>();
  let gate: Promise<void> = Promise.resolve();
  const over = (result: Promise<unknown>): Promise<void> =>
    result.then(
      () => undefined,
      () => undefined,
    );
  return {
    shared(run) {
      const result = gate.then(run);
      const ended = over(result).then(() => void running.delete(ended));
      running.add(ended);
      return result;
    },
    alone(run) {
      const result = Promise.all([gate, ...running]).then(run);
      gate = over(result);
      return result;
    },
  };
}
