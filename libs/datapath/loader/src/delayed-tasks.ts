// SPDX-License-Identifier: Apache-2.0

/** What is to be done a while later, for each name the newest, one after the other. */
export interface DelayedTasks<T> {
  add(name: string, subject: T): void;
  forget(name: string): void;
  /** Waits for the one under way; the others are not done. */
  close(): Promise<void>;
}

/** What `createDelayedTasks` works with. */
export interface DelayedTasksOptions<T> {
  readonly delayMs: number;
  /** `isWanted` tells whether the subject is still the newest of its name. What rejects is done again, later and later. */
  readonly run: (subject: T, isWanted: () => boolean) => Promise<void>;
}

/** See {@link DelayedTasks}. */
export function createDelayedTasks<T>({ delayMs, run }: DelayedTasksOptions<T>): DelayedTasks<T> {
  const waiting = new Map<string, { readonly timer: NodeJS.Timeout }>();
  let last: Promise<void> = Promise.resolve();
  let isClosed = false;

  const schedule = (name: string, subject: T, afterMs: number): void => {
    const isWanted = (): boolean => !isClosed && waiting.get(name) === task;
    const attempt = async (): Promise<void> => {
      if (!isWanted()) return;
      try {
        await run(subject, isWanted);
        if (isWanted()) waiting.delete(name);
      } catch {
        if (isWanted()) schedule(name, subject, afterMs * 2);
      }
    };
    const timer = setTimeout(() => {
      last = last.then(attempt);
    }, afterMs);
    timer.unref();
    const task = { timer };
    waiting.set(name, task);
  };
  const forget = (name: string): void => {
    clearTimeout(waiting.get(name)?.timer);
    waiting.delete(name);
  };

  return {
    add(name, subject) {
      forget(name);
      schedule(name, subject, delayMs);
    },
    forget,
    async close() {
      isClosed = true;
      for (const { timer } of waiting.values()) clearTimeout(timer);
      await last;
    },
  };
}
