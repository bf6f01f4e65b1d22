// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { createTurns, type Turns } from './turns.ts';

let clock: ManualClock;
let turns: Turns;
let order: string[];
beforeEach(() => {
  clock = createManualClock();
  turns = createTurns({ turnsMax: 2, turnMsMax: 1_000, clock });
  order = [];
});

const signal = new AbortController().signal;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const take = async (name: string, until = signal): Promise<() => void> => {
  const end = await turns.take(until);
  order.push(name);
  return end;
};

describe('createTurns()', () => {
  it('lets so many at a time, and the others in the order in which they came', async () => {
    const [endA] = await Promise.all([take('a'), take('b')]);
    const waiting = [take('c'), take('d')];
    await settle();
    expect([order, turns.waitingCount]).toEqual([['a', 'b'], 2]);
    endA!();
    endA!();
    await settle();
    expect(order).toEqual(['a', 'b', 'c']);
    (await waiting[0])!();
    await settle();
    expect([order, turns.waitingCount]).toEqual([['a', 'b', 'c', 'd'], 0]);
  });

  it('ends a turn that takes too long', async () => {
    await Promise.all([take('slow'), take('slow, too')]);
    void take('c');
    await clock.advance(999);
    expect(order).not.toContain('c');
    await clock.advance(1);
    await settle();
    expect(order).toContain('c');
  });

  it('lets go of whoever goes away while it waits, and gives its turn to the next one', async () => {
    const [endA] = await Promise.all([take('a'), take('b')]);
    const abort = new AbortController();
    const gone = take('gone', abort.signal);
    void take('d');
    abort.abort();
    (await gone)();
    await settle();
    expect(order).toEqual(['a', 'b', 'gone']);
    endA!();
    await settle();
    expect(order).toEqual(['a', 'b', 'gone', 'd']);
  });
});
