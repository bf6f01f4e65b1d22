// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { mapSpecs, type PolicyEntry } from '@weir/datapath-layout';
import { createMapRows } from '../map-rows.ts';
import { exactKey, isRange, packKey, packRange, rangeKey } from './policy-rows.ts';

/** An entry of a policy map: the version that it belongs to, and its place in {@link PolicyRows}. */
export interface PlacedEntry {
  readonly version: number;
  readonly row: number;
  readonly value: PolicyEntry;
}

/** The entries of all policies, wherever their kind of key is kept. */
export interface PolicyEntryTables {
  /** Throws RESOURCE_EXHAUSTED, which names the map; some may have been written then. */
  write(version: number, rows: readonly (readonly [row: number, value: PolicyEntry])[]): void;
  delete(version: number, rows: readonly number[]): void;
  all(): Iterable<PlacedEntry>;
}

/** Single ports and what is wider than ranges in a hash, ranges of ports in a trie. */
export function createPolicyEntryTables(maps: { readonly exact: BpfMap; readonly ranges: BpfMap }): PolicyEntryTables {
  const exact = createMapRows(maps.exact, mapSpecs.policy);
  const ranges = createMapRows(maps.ranges, mapSpecs.policyRanges);
  return {
    write(version, rows) {
      const [narrow, wide] = [rows.filter(([row]) => !isRange(row)), rows.filter(([row]) => isRange(row))];
      exact.setAll(narrow.map(([row, value]) => [exactKey(row, version), value] as const));
      ranges.setAll(wide.map(([row, value]) => [rangeKey(row, version), value] as const));
    },
    delete(version, rows) {
      exact.deleteAll(rows.filter((row) => !isRange(row)).map((row) => exactKey(row, version)));
      ranges.deleteAll(rows.filter(isRange).map((row) => rangeKey(row, version)));
    },
    *all() {
      for (const [{ version, ...key }, value] of exact.all()) {
        yield { version, row: packKey({ ...key, direction: key.direction as 1 | 2 }), value };
      }
      for (const [key, value] of ranges.all()) yield { version: key.version, row: packRange(key), value };
    },
  };
}
