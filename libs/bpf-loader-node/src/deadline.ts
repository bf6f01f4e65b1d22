// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** How long to wait, and for whom. */
export interface DeadlineOptions {
  /** Counted from the call, at most 2147483647. Default: 10000. */
  readonly timeoutMs?: number;
  /** Gives up with CANCELLED when it is aborted. */
  readonly signal?: AbortSignal;
}

/** A limit on one wait. */
export interface Deadline {
  /** Starts the clock. `giveUp` is called at most once, and never after the function that is returned. */
  start(giveUp: (reason: WeirError) => void): () => void;
}

const timeoutMsDefault = 10_000;
const timeoutMsMax = 0x7fff_ffff;

/** Checks the options; throws INVALID_ARGUMENT, or CANCELLED if the signal is aborted already. `action` is for messages. */
export function createDeadline(action: string, { timeoutMs = timeoutMsDefault, signal }: DeadlineOptions): Deadline {
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > timeoutMsMax) {
    const expected = `expected a whole number from 0 to ${timeoutMsMax}`;
    throw new WeirError('INVALID_ARGUMENT', `${action} cannot be limited to timeoutMs ${timeoutMs}: ${expected}`);
  }
  const cancelled = (): WeirError => new WeirError('CANCELLED', `${action} was cancelled`, { cause: signal?.reason });
  if (signal?.aborted === true) throw cancelled();
  return {
    start: (giveUp) => {
      const stop = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', cancel);
      };
      const end = (reason: WeirError): void => {
        stop();
        giveUp(reason);
      };
      const cancel = (): void => {
        end(cancelled());
      };
      const timer = setTimeout(() => {
        end(new WeirError('TIMEOUT', `${action} did not finish within ${timeoutMs} ms`));
      }, timeoutMs);
      signal?.addEventListener('abort', cancel, { once: true });
      return stop;
    },
  };
}
