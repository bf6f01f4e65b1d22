// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';

/** Lets a few do something at a time; the others wait in the order in which they came. */
export interface Turns {
  /** Resolves with what ends the turn when it is one's turn; at once when the signal aborts. */
  take(signal: AbortSignal): Promise<() => void>;
  readonly waitingCount: number;
}

export interface TurnsOptions {
  readonly turnsMax: number;
  /** A turn that takes longer ends by itself: whoever is slow must not keep others waiting. */
  readonly turnMsMax: number;
  readonly clock: Clock;
}

/** Makes the queue; all turns are free. */
export function createTurns({ turnsMax, turnMsMax, clock }: TurnsOptions): Turns {
  const waiting = new Set<() => void>();
  let taken = 0;
  const begin = (): (() => void) => {
    taken += 1;
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      cancel();
      taken -= 1;
      const [next] = waiting;
      next?.();
    };
    const cancel = clock.schedule(turnMsMax, end);
    return end;
  };
  return {
    get waitingCount() {
      return waiting.size;
    },
    take(signal) {
      if (signal.aborted) return Promise.resolve(() => undefined);
      if (taken < turnsMax) return Promise.resolve(begin());
      return new Promise((resolve) => {
        const stop = (): void => {
          waiting.delete(proceed);
          signal.removeEventListener('abort', giveUp);
        };
        const proceed = (): void => {
          stop();
          resolve(begin());
        };
        const giveUp = (): void => {
          stop();
          resolve(() => undefined);
        };
        waiting.add(proceed);
        signal.addEventListener('abort', giveUp, { once: true });
      });
    },
  };
}
