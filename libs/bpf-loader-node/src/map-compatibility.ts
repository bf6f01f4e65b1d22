// SPDX-License-Identifier: Apache-2.0
import type { MapInfo } from './bpf-map.ts';
import type { DeclaredMap } from './object-spec.ts';

/** One way in which a map in the kernel is not what an object declares. */
export interface MapDifference {
  readonly field: 'type' | 'keySize' | 'valueSize' | 'maxEntries' | 'flags';
  readonly expected: string | number;
  readonly found: string | number;
}

/** What a map should be, and what it is. */
export interface MapComparison {
  /** With `maxEntries` as the load overrides it. */
  readonly declared: DeclaredMap;
  readonly found: MapInfo;
  /** Of the machine: ring buffers are rounded up to it. */
  readonly pageBytes: number;
}

/** All differences between a declared map and a found one; empty if it can be used. */
export function mapDifferences({ declared, found, pageBytes }: MapComparison): MapDifference[] {
  const fields = ['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const;
  return fields
    .map((field) => ({ field, expected: expectedValue(declared, { field, pageBytes }), found: found[field] }))
    .filter(({ expected, found: value }) => expected !== undefined && expected !== value) as MapDifference[];
}

function expectedValue(
  declared: DeclaredMap,
  { field, pageBytes }: { field: MapDifference['field']; pageBytes: number },
): string | number | undefined {
  if (field !== 'maxEntries') return declared[field];
  // 0 leaves the number to libbpf: one entry a CPU.
  if (declared.maxEntries === 0) return undefined;
  return declared.type === 'ringbuf' ? ringBytes({ wanted: declared.maxEntries, pageBytes }) : declared.maxEntries;
}

// libbpf rounds ring buffers up to what the kernel takes: a power of two times the page size.
function ringBytes({ wanted, pageBytes }: { wanted: number; pageBytes: number }): number {
  let bytes = pageBytes;
  while (bytes < wanted) bytes *= 2;
  return bytes;
}
