// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** How many calls may be made twice, so that servers that are slow for their load do not get twice as much of it. */
export interface HedgeBudget {
  /** False when there is none left. */
  take(): boolean;
  /** A call needed no other one. */
  give(): void;
}

const stockMax = 10;
const earnedPerCall = 0.1;

/** Ten at once, and then one in ten calls. */
export function createHedgeBudget(): HedgeBudget {
  let stock = stockMax;
  return {
    take() {
      if (stock < 1) return false;
      stock -= 1;
      return true;
    },
    give: () => void (stock = Math.min(stockMax, stock + earnedPerCall)),
  };
}

export interface HedgeOptions {
  readonly afterMs: number;
  readonly budget: HedgeBudget;
  readonly signal?: AbortSignal;
}

type Call = (isSecond: boolean, signal: AbortSignal) => Promise<unknown>;

// Of a call that failed with these another server may know more; any other failure is an answer.
const isNoAnswer = (error: unknown): boolean => ['UNAVAILABLE', 'TIMEOUT'].includes(WeirError.from(error).code);

/**
 * Makes a call, and once more where there is no answer for `afterMs`. Gives the first answer, and cancels the other call; fails
 * as the first call does when no answer comes.
 */
export function hedged({ afterMs, budget, signal }: HedgeOptions, call: Call): Promise<unknown> {
  const over = new AbortController();
  const either = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]);
  return new Promise((resolve, reject) => {
    let open = 0;
    let firstFailure: unknown;
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
      over.abort(new WeirError('CANCELLED', 'Another server has answered'));
    };
    const begin = (isSecond: boolean): void => {
      open += 1;
      call(isSecond, either).then(
        (answer) => {
          if (open === 1 && !isSecond) budget.give();
          end(() => resolve(answer));
        },
        (error: unknown) => {
          open -= 1;
          firstFailure ??= error;
          if (open === 0 || !isNoAnswer(error))
            end(() => reject(WeirError.from(isNoAnswer(error) ? firstFailure : error)));
        },
      );
    };
    const timer = setTimeout(() => {
      if (budget.take()) begin(true);
    }, afterMs);
    begin(false);
  });
}
