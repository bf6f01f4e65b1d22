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
    expect(log.changesAfter(0, 10)).toEqual({ upserted: [['a', 3]], deleted: [], revision: 4, complete: true });
    expect(log.changesAfter(2, 10)).toEqual({ upserted: [['a', 3]], deleted: ['b'], revision: 4, complete: true });
    expect(log.changesAfter(4, 10)).toEqual({ upserted: [], deleted: [], revision: 4, complete: true });
  });

  it('hands out parts that come to the same when they are put together', () => {
    const log = createChangeLog<number>({ deletedMax: 100 });
    for (let i = 0; i < 1000; i++) {
      if (i % 3 === 2) log.delete(`key ${i % 70}`);
      else log.set(`key ${i % 70}`, i);
    }
    const rows = new Map<string, number>();
    for (let revision = 0, complete = false; !complete;) {
      const part = log.changesAfter(revision, 7);
      for (const [key, row] of part?.upserted ?? []) rows.set(key, row);
      for (const key of part?.deleted ?? []) rows.delete(key);
      ({ revision, complete } = part ?? { revision: 0, complete: true });
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
});
