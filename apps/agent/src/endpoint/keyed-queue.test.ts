// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createKeyedQueue } from './keyed-queue.ts';

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

describe('createKeyedQueue()', () => {
  it('runs tasks of one key in turn, also after one that failed, and those of others side by side', async () => {
    const queue = createKeyedQueue();
    const order: string[] = [];
    const first = Promise.withResolvers<undefined>();
    const failing = queue.run('a', async () => {
      order.push('a1');
      await first.promise;
      throw new TypeError('a1 failed');
    });
    const next = queue.run('a', async () => order.push('a2'));
    await queue.run('b', async () => order.push('b1'));
    first.resolve(undefined);
    await expect(failing).rejects.toThrow('a1 failed');
    await next;
    expect(order).toEqual(['a1', 'b1', 'a2']);
  });

  it('interrupts the task that runs, not those behind it', async () => {
    const queue = createKeyedQueue();
    const running = queue.run('a', aborted);
    const behind = queue.run('a', async (signal) => signal.aborted);
    await Promise.resolve();
    queue.interrupt('a', new TypeError('interrupted'));
    queue.interrupt('none', new TypeError('nobody'));
    await expect(running).rejects.toThrow('interrupted');
    expect(await behind).toBe(false);
  });

  it('aborts all tasks when it is closed, also later ones', async () => {
    const queue = createKeyedQueue();
    const running = queue.run('a', aborted);
    queue.close(new TypeError('closed'));
    await expect(running).rejects.toThrow('closed');
    await expect(queue.run('b', aborted)).rejects.toThrow('closed');
  });
});
