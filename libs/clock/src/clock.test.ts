// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createBackoff, createManualClock, formatDurationMs, parseDurationMs } from './index.ts';

describe('createManualClock', () => {
  it('fires timers in the order of their times, also those that timers make', async () => {
    const clock = createManualClock(0);
    const fired: [string, number][] = [];
    const note = (name: string) => () => fired.push([name, clock.nowMs()]);
    clock.schedule(20, note('b'));
    clock.schedule(10, () => {
      note('a')();
      clock.schedule(5, note('a2'));
    });
    clock.schedule(31, note('late'));
    clock.schedule(1, note('cancelled'))();
    await clock.advance(30);
    expect(fired).toEqual([
      ['a', 10],
      ['a2', 15],
      ['b', 20],
    ]);
    expect({ now: clock.nowMs(), pending: clock.pendingCount }).toEqual({ now: 30, pending: 1 });
  });
});

describe('createBackoff', () => {
  it('doubles up to its maximum and starts again after reset', () => {
    const backoff = createBackoff({ initialMs: 100, maxMs: 1000, jitter: 0 });
    expect(Array.from({ length: 6 }, () => backoff.nextMs())).toEqual([100, 200, 400, 800, 1000, 1000]);
    backoff.reset();
    expect(backoff.nextMs()).toBe(100);
  });

  it('takes off no more than the jitter', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (random) => {
        const delayMs = createBackoff({ initialMs: 100, maxMs: 100, jitter: 0.5, random: () => random }).nextMs();
        return delayMs >= 50 && delayMs <= 100;
      }),
    );
  });
});

describe('parseDurationMs', () => {
  it('reads back what formatDurationMs writes', () => {
    fc.assert(fc.property(fc.nat({ max: 10 ** 10 }), (ms) => parseDurationMs(formatDurationMs(ms)) === ms));
  });

  it.each(['', '15', '1.5h', '-1s', '10 s', '5min', 's'])('refuses "%s"', (text) => {
    expect(() => parseDurationMs(text)).toThrow(`"${text}" is not a duration`);
  });
});
