// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';

/** Works until what is wanted is so. */
export interface Settler {
  /** Looks whether there is something to do, and does it; ends a pause between two attempts. */
  settle(): void;
  stop(): void;
}

export interface SettlerOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly isSettled: () => boolean;
  /** One step towards it, on the state of that moment. */
  readonly step: () => Promise<void>;
  /** The next attempt comes after a pause, growing from 0.5 to 10 s. */
  readonly onFailed: (error: WeirError, attempt: number) => void;
  /** Nothing is left to do, and nothing is under way. */
  readonly onSettled: () => void;
}

const retryMs = { initialMs: 500, maxMs: 10_000 } as const;

/** Makes a worker that rests. There is never more than one step under way. */
export function createSettler(options: SettlerOptions): Settler {
  const { clock, random, isSettled } = options;
  let state: 'resting' | 'working' | 'stopped' = 'resting';
  let endPause: (() => void) | undefined;

  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.schedule(delayMs, () => endPause?.());
      endPause = () => {
        endPause = undefined;
        cancel();
        resolve();
      };
    });
  const work = async (): Promise<void> => {
    const backoff = createBackoff({ ...retryMs, random });
    for (let attempt = 1; state === 'working' && !isSettled(); attempt += 1) {
      try {
        await options.step();
      } catch (error) {
        options.onFailed(WeirError.from(error), attempt);
        if (state === 'working' && !isSettled()) await pause(backoff.nextMs());
      }
    }
    if (state === 'stopped') return;
    state = 'resting';
    options.onSettled();
  };
  return {
    settle() {
      endPause?.();
      if (state !== 'resting') return;
      if (isSettled()) return options.onSettled();
      state = 'working';
      void work();
    },
    stop() {
      state = 'stopped';
      endPause?.();
    },
  };
}
