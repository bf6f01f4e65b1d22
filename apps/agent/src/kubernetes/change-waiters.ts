// SPDX-License-Identifier: Apache-2.0

/** Waiting for something that comes with some change. */
export interface ChangeWaiters {
  /** Call after every change. */
  wake(): void;
  /** Resolves with what `look` finds, now or after a change. Rejects with the reason of the signal. */
  until<Found>(look: () => Found | undefined, signal: AbortSignal): Promise<Found>;
}

/** See {@link ChangeWaiters}. */
export function createChangeWaiters(): ChangeWaiters {
  const waiting = new Set<() => void>();
  return {
    wake() {
      for (const look of waiting) look();
    },
    until(look, signal) {
      return new Promise((resolve, reject) => {
        const end = (): void => {
          waiting.delete(tryNow);
          signal.removeEventListener('abort', giveUp);
        };
        const giveUp = (): void => {
          end();
          reject(signal.reason);
        };
        const tryNow = (): void => {
          const found = look();
          if (found === undefined) return;
          end();
          resolve(found);
        };
        waiting.add(tryNow);
        signal.addEventListener('abort', giveUp);
        if (signal.aborted) giveUp();
        else tryNow();
      });
    },
  };
}
