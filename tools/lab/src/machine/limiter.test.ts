// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createLimiter } from './limiter.ts';

describe('createLimiter()', () => {
  it('never lets more than its number go on at once, and finishes everything in order', async () => {
    const limited = createLimiter(3);
    const order: number[] = [];
    let running = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        limited(async () => {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setImmediate(resolve));
          order.push(i);
          running--;
        }),
      ),
    );
    expect(most).toBe(3);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('goes on after work that failed', async () => {
    const limited = createLimiter(1);
    const failed = limited(() => Promise.reject(new Error('x')));
    const next = limited(() => Promise.resolve('done'));
    await expect(failed).rejects.toThrow('x');
    await expect(next).resolves.toBe('done');
  });
});
