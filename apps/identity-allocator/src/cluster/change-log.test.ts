// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createChangeLog } from './change-log.ts';

describe('createChangeLog()', () => {
  it('tells each row once, as it is now, and what is gone to those who knew it', () => {
    const log = createChangeLog<number>({ deletedMax: 10 });
    log.set('a', 1);
    log.set('b', 2);
    log.set('a', 3);
    log.delete('b');
    log.delete('never there');
    expect(log.size).toBe(1);
    expect(log.changesAfter(0, 10)).toEqual({
      upserted: [['a', 3]],
      deleted: [],
      position: 4,
      revision: 4,
      complete: true,
    });
    expect(log.changesAfter(2, 10)).toEqual({
      upserted: [['a', 3]],
      deleted: ['b'],
      position: 4,
      revision: 4,
      complete: true,
    });
    expect(log.changesAfter(4, 10)).toEqual({ upserted: [], deleted: [], position: 4, revision: 4, complete: true });
  });

  it('hands out parts that come to the same when they are put together', () => {
    const log = createChangeLog<number>({ deletedMax: 100 });
    for (let i = 0; i < 1000; i++) {
      if (i % 3 === 2) log.delete(`key ${i % 70}`);
      else log.set(`key ${i % 70}`, i);
    }
    const rows = new Map<string, number>();
    for (let position = 0, complete = false; !complete;) {
      const part = log.changesAfter(position, 7);
      for (const [key, row] of part?.upserted ?? []) rows.set(key, row);
      for (const key of part?.deleted ?? []) rows.delete(key);
      ({ position, complete } = part ?? { position: 0, complete: true });
    }
    const whole = log.changesAfter(0, 10_000)?.upserted ?? [];
    expect(rows.size).toBeGreaterThan(10);
    expect(new Map([...rows].toSorted())).toEqual(new Map(whole.toSorted()));
  });

  it('sends whoever is behind its memory of deletions back to the start', () => {
    const log = createChangeLog<number>({ deletedMax: 4 });
    for (let i = 0; i < 10; i++) log.set(`key ${i}`, i);
    const { revision } = log;
    for (let i = 0; i < 6; i++) log.delete(`key ${i}`);
    expect(log.changesAfter(revision, 100)).toBeUndefined();
    expect(log.changesAfter(0, 100)?.upserted).toHaveLength(4);
    expect(log.changesAfter(revision + 5, 100)?.deleted).toEqual(['key 5']);
  });

  it('says of a part only what is whole: of a revision whose changes are cut in two, that before it', () => {
    const log = createChangeLog<number>({ deletedMax: 10 });
    log.set('a', 1, 10);
    for (const key of ['b', 'c', 'd']) log.set(key, 1, 20);
    expect(log.changesAfter(0, 1)).toMatchObject({ position: 1, revision: 10, complete: false });
    expect(log.changesAfter(0, 2)).toMatchObject({ position: 2, revision: 19, complete: false });
    expect(log.changesAfter(2, 2)).toMatchObject({ position: 4, revision: 20, complete: true });
    log.reach(25);
    expect([9, 10, 19, 20, 25, 26].map(log.positionAfter)).toEqual([0, 1, 1, 4, 4, undefined]);
  });

  it('lets nobody continue from before a restart, and everybody from it', () => {
    const log = createChangeLog<number>({ deletedMax: 10 });
    log.set('a', 1, 7);
    log.set('b', 1, 8);
    const { position } = log;
    log.delete('a', 9);
    log.restart(5);
    log.set('c', 1, 6);
    expect(log.changesAfter(position, 10)).toBeUndefined();
    expect([4, 5, 6].map((revision) => log.positionAfter(revision) !== undefined)).toEqual([false, true, true]);
    expect(log.changesAfter(0, 1)).toMatchObject({ upserted: [['b', 1]], revision: 5, complete: false });
    expect(log.changesAfter(log.positionAfter(5)!, 10)).toMatchObject({ upserted: [['c', 1]], revision: 6 });
    // Parts of a snapshot are taken from behind the restart.
    expect(log.changesAfter(log.changesAfter(0, 1)!.position, 10)).toMatchObject({ upserted: [['c', 1]] });
  });
});
