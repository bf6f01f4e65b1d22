// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { weir } from '@weir/proto';
import { createAccessLog, type AccessLog } from './access-log.ts';

const none = new Uint8Array(0);
const statuses = (message: Buffer | undefined): number[] =>
  message === undefined
    ? []
    : (weir.proxy.v1.ProxyMessage.decode(message).accessLog?.calls ?? []).map(({ status }) => status ?? 0);

describe('the access log', () => {
  let clock: ManualClock;
  let log: AccessLog;
  const record = (...numbers: number[]): void => {
    for (const status of numbers) {
      log.record({
        flowFields: none,
        callFields: none,
        traceFields: none,
        timeNs: 0,
        latencyNs: 0,
        status,
        minorVersion: 1,
      });
    }
  };
  beforeEach(() => {
    clock = createManualClock();
    log = createAccessLog({ clock, batchCallsMax: 3, batchDelayMs: 20, queuedBatchesMax: 2 });
  });

  it('gives a full message at once, and the rest after the delay', async () => {
    let told = 0;
    log.onBatch(() => told++);
    record(1, 2, 3, 4);
    expect(statuses(log.take())).toEqual([1, 2, 3]);
    expect(log.take()).toBeUndefined();
    await clock.advance(19);
    expect(log.take()).toBeUndefined();
    await clock.advance(1);
    expect(statuses(log.take())).toEqual([4]);
    expect(told).toBe(2);
  });

  it('has no timer when there is nothing to say', async () => {
    record(1);
    await clock.advance(20);
    expect(clock.pendingCount).toBe(0);
  });

  it('keeps what fits while nobody takes it, and tells with the next message how much was lost', async () => {
    record(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    expect(log.lostCount).toBe(2);
    expect([statuses(log.take()), statuses(log.take()), statuses(log.take())]).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
    record(12);
    await clock.advance(20);
    expect(statuses(log.take())).toEqual([12]);
    expect(log.lostCount).toBe(0);
  });

  it('does not forget a batch that was due while the queue was full', async () => {
    record(1, 2, 3, 4, 5, 6, 7);
    await clock.advance(20);
    log.take();
    log.take();
    expect(statuses(log.take())).toEqual([7]);
  });
});
