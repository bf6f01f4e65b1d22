// SPDX-License-Identifier: Apache-2.0

/** Lets a loop wait for one promise after the other, and be woken at once by an abort. */
export interface AbortGate {
  /** Settles like `promise`, or rejects with the signal's reason as soon as it aborts. One wait at a time. */
  wait<T>(promise: Promise<T>): Promise<T>;
  /** Stops listening to the signal. */
  dispose(): void;
}

/**
 * One listener for the whole life of a stream. `Promise.race` against a promise that lives as long would gather one
 * reaction per message.
 */
export function createAbortGate(signal: AbortSignal): AbortGate {
  let reject: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => reject?.(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    wait: (promise) =>
      new Promise((resolve, rejectWait) => {
        reject = rejectWait;
        promise.then(resolve, rejectWait);
        if (signal.aborted) onAbort();
      }),
    dispose: () => signal.removeEventListener('abort', onAbort),
  };
}
