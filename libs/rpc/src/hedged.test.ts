// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { createHedgeBudget, hedged } from './hedged.ts';

const budget = createHedgeBudget();
const never = new Promise<never>(() => undefined);
const fails = (code: 'UNAVAILABLE' | 'INVALID_ARGUMENT'): Promise<never> =>
  Promise.reject(new WeirError(code, `It is ${code}`));

describe('hedged()', () => {
  it('asks once where the answer comes in time', async () => {
    const asked: boolean[] = [];
    const call = (isSecond: boolean): Promise<string> => {
      asked.push(isSecond);
      return Promise.resolve('first');
    };
    expect(await hedged({ afterMs: 60_000, budget }, call)).toBe('first');
    expect(asked).toEqual([false]);
  });

  it('takes the second answer where the first one does not come, and cancels the first call', async () => {
    let first: AbortSignal | undefined;
    const call = (isSecond: boolean, signal: AbortSignal): Promise<string> => {
      if (!isSecond) first = signal;
      return isSecond ? Promise.resolve('second') : never;
    };
    expect(await hedged({ afterMs: 1, budget }, call)).toBe('second');
    expect(first?.aborted).toBe(true);
  });

  it('fails at once with what is an answer, and with the first failure where there is none', async () => {
    const refused = hedged({ afterMs: 60_000, budget }, () => fails('INVALID_ARGUMENT'));
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    let failFirst = (): void => undefined;
    const first = new Promise((_resolve, reject) => {
      failFirst = () => reject(new WeirError('TIMEOUT', 'The first one'));
    });
    const call = (isSecond: boolean): Promise<unknown> => {
      if (!isSecond) return first;
      return fails('UNAVAILABLE').finally(() => setImmediate(failFirst));
    };
    // The second one cannot either: the first one has time until its own deadline.
    await expect(hedged({ afterMs: 1, budget }, call)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('gives up both calls when nobody waits any more', async () => {
    const abort = new AbortController();
    const cancelled = (signal: AbortSignal): Promise<never> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(WeirError.from(signal.reason)));
      });
    const options = { afterMs: 1, budget, signal: abort.signal };
    const result = hedged(options, (isSecond, signal) => {
      if (isSecond) setImmediate(() => abort.abort(new WeirError('CANCELLED', 'Nobody waits')));
      return cancelled(signal);
    });
    await expect(result).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('createHedgeBudget()', () => {
  it('has ten, and then one for ten calls that needed none', () => {
    const small = createHedgeBudget();
    const take = (count: number): number => Array.from({ length: count }, () => small.take()).filter(Boolean).length;
    expect(take(20)).toBe(10);
    for (let call = 0; call < 25; call += 1) small.give();
    expect(take(20)).toBe(2);
  });
});
