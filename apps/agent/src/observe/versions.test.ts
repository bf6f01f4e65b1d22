// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createVersions, type Versions } from './versions.ts';

let versions: Versions<number, string>;
beforeEach(() => {
  versions = createVersions();
  versions.put(1, { sinceMs: 100, value: 'a' });
  versions.put(1, { sinceMs: 200, value: undefined });
  versions.put(1, { sinceMs: 300, value: 'b' });
});

describe('createVersions', () => {
  it.each([
    [100, 'a'],
    [199, 'a'],
    [250, 'a'],
    [300, 'b'],
    [1_000, 'b'],
  ])('at %i gives %s: what is gone is remembered as it was', (timeMs, value) =>
    expect(versions.at(1, timeMs)).toBe(value),
  );

  it('before the first version gives that: news may come after the event', () => expect(versions.at(1, 1)).toBe('a'));

  it('of a key that never was gives nothing', () => expect(versions.at(2, 100)).toBeUndefined());

  it('prune forgets what nothing behind a time can ask for', () => {
    versions.prune(300);
    expect([versions.at(1, 150), versions.at(1, 300)]).toEqual(['b', 'b']);
    versions.put(1, { sinceMs: 400, value: undefined });
    versions.prune(500);
    expect([versions.at(1, 450), versions.size]).toEqual([undefined, 0]);
  });

  it('prune keeps what is as it always was', () => {
    versions.put(2, { sinceMs: 0, value: 'x' });
    versions.prune(10_000);
    expect(versions.at(2, 20_000)).toBe('x');
  });
});
