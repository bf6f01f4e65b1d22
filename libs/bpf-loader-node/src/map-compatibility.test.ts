// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { MapInfo } from './bpf-map.ts';
import { mapDifferences } from './map-compatibility.ts';
import type { DeclaredMap } from './object-spec.ts';

const declared: DeclaredMap = {
  name: 'ct',
  type: 'lru_hash',
  keySize: 40,
  valueSize: 64,
  maxEntries: 1000,
  flags: 0,
  internal: false,
  pinByName: true,
};
const found: MapInfo = {
  name: 'ct',
  type: 'lru_hash',
  id: 1,
  keySize: 40,
  valueSize: 64,
  valueStride: 64,
  maxEntries: 1000,
  flags: 0,
};
const pageBytes = 4096;

describe('mapDifferences()', () => {
  it('finds nothing between equal maps', () => {
    expect(mapDifferences({ declared, found, pageBytes })).toEqual([]);
  });

  it('lists every difference at once', () => {
    const other = { ...found, type: 'hash', keySize: 38, valueSize: 60, maxEntries: 10, flags: 1 } as const;
    expect(mapDifferences({ declared, found: other, pageBytes }).map(({ field }) => field)).toEqual([
      'type',
      'keySize',
      'valueSize',
      'maxEntries',
      'flags',
    ]);
  });

  it('says what was expected and what was found', () => {
    expect(mapDifferences({ declared, found: { ...found, keySize: 38 }, pageBytes })).toEqual([
      { field: 'keySize', expected: 40, found: 38 },
    ]);
  });

  it('expects a ring buffer of the size that libbpf rounds to', () => {
    const ring = { ...declared, type: 'ringbuf', maxEntries: 5000 } as const;
    const foundRing = { ...found, type: 'ringbuf' } as const;
    expect(mapDifferences({ declared: ring, found: { ...foundRing, maxEntries: 8192 }, pageBytes })).toEqual([]);
    expect(mapDifferences({ declared: ring, found: { ...foundRing, maxEntries: 8192 }, pageBytes: 65536 })).toEqual([
      { field: 'maxEntries', expected: 65536, found: 8192 },
    ]);
  });

  it('takes any number of entries where the object leaves it to libbpf', () => {
    expect(mapDifferences({ declared: { ...declared, maxEntries: 0 }, found, pageBytes })).toEqual([]);
  });
});
