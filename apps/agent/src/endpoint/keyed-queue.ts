// SPDX-License-Identifier: Apache-2.0

/** Runs tasks with the same key one after the other, and those with different keys side by side. */
export interface KeyedQueue {
  /** A failed task does not stop those behind it. The signal tells a task that it should give up waiting. */
  run<Result>(key: string, task: (signal: AbortSignal) => Promise<Result>): Promise<Result>;
  /** Aborts the signal of the task that runs now; those behind it are not concerned. */
  interrupt(key: string, reason: Error): void;
  /** Aborts every task, also those that come later. */
  close(reason: Error): void;
}

/** Makes an empty queue. */
export function createKeyedQueue(): KeyedQueue {
  const tails = new Map<string, Promise<unknown>>();
  const running = new Map<string, AbortController>();
  const closing = new AbortController();

  return {
    run(key, task) {
      const start = async () => {
        const abort = new AbortController();
        running.set(key, abort);
        try {
          return await task(AbortSignal.any([abort.signal, closing.signal]));
        } finally {
          running.delete(key);
        }
      };
      const run = (tails.get(key) ?? Promise.resolve()).then(start);
      const tail = run
        .catch(() => undefined)
        .then(() => {
          if (tails.get(key) === tail) tails.delete(key);
        });
      tails.set(key, tail);
      return run;
    },
    interrupt: (key, reason) => running.get(key)?.abort(reason),
    close: (reason) => closing.abort(reason),
  };
}
