// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { createExportQueue, type ExportQueue, type ExportQueueOptions } from './export-queue.ts';

let clock: ManualClock;
let batches: number[][];
let away: boolean;
let lost: Record<string, number>;
let sent: number;
beforeEach(() => {
  clock = createManualClock();
  [batches, away, lost, sent] = [[], false, {}, 0];
});
const start = (options: Partial<ExportQueueOptions<number>> = {}): ExportQueue<number> =>
  createExportQueue<number>({
    ...{ clock, itemsMax: 6, batchMax: 3, delayMs: 100, rateMax: 1_000, attemptsMax: 3, retryDelayMs: 1_000 },
    send: async (batch) => {
      batches.push([...batch]);
      if (away) throw new TypeError('away');
    },
    onSent: (count) => (sent += count),
    onLost: (count, reason) => (lost[reason] = (lost[reason] ?? 0) + count),
    onFailed: () => undefined,
    ...options,
  });
/** Lets time pass, and what is due happen. */
async function pass(ms: number): Promise<void> {
  await clock.advance(ms);
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(0);
}

describe('createExportQueue()', () => {
  it('sends what has waited, and full batches at once', async () => {
    const queue = start();
    queue.push(1);
    await pass(99);
    expect(batches).toEqual([]);
    await pass(1);
    expect(batches).toEqual([[1]]);
    [2, 3, 4].forEach(queue.push);
    await pass(0);
    expect(batches).toEqual([[1], [2, 3, 4]]);
    expect([sent, queue.length, lost]).toEqual([4, 0, {}]);
  });

  it('keeps what could not be sent, up to a bound, and counts what it has no room for', async () => {
    const queue = start();
    away = true;
    [1, 2, 3, 4, 5, 6, 7, 8].forEach(queue.push);
    await pass(0);
    expect([queue.length, lost]).toEqual([6, { queue_full: 2 }]);
    away = false;
    await pass(1_000);
    await pass(100);
    expect(batches).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect([sent, queue.length, lost]).toEqual([6, 0, { queue_full: 2 }]);
  });

  it('gives up a batch that nobody takes, and counts that, too', async () => {
    const queue = start();
    away = true;
    [1, 2, 3, 4].forEach(queue.push);
    for (const ms of [0, 1_000, 2_000]) await pass(ms);
    expect([batches.length, queue.length, lost]).toEqual([3, 1, { failed: 3 }]);
  });

  it('takes so many a second, and counts the rest', async () => {
    const queue = start({ rateMax: 2, itemsMax: 100 });
    [1, 2, 3, 4].forEach(queue.push);
    expect([queue.length, lost]).toEqual([2, { rate_limited: 2 }]);
    await pass(500);
    [5, 6].forEach(queue.push);
    await pass(100);
    expect([sent, lost]).toEqual([3, { rate_limited: 3 }]);
  });

  it('sends what is left when it is closed, and loses what cannot be sent then', async () => {
    const queue = start();
    [1, 2, 3, 4].forEach(queue.push);
    await queue.close();
    expect(batches).toEqual([[1, 2, 3], [4]]);
    away = true;
    const other = start();
    other.push(5);
    await other.close();
    expect([sent, lost]).toEqual([4, { failed: 1 }]);
  });
});
