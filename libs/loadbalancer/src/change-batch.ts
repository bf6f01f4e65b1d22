// SPDX-License-Identifier: Apache-2.0
import type { BackendRow, FrontendAddress, FrontendRow, PoolRow, ServiceChange, SlotRow } from '@weir/datapath-maps';

/** A change of rows under construction; the last word on a row counts. */
export interface ChangeBatch {
  readonly frontends: Map<string, FrontendRow | { readonly removed: FrontendAddress }>;
  readonly pools: Map<number, PoolRow | undefined>;
  readonly slots: Map<number, SlotRow | undefined>;
  readonly backends: Map<number, BackendRow | undefined>;
  readonly tables: Map<number, Uint32Array | undefined>;
}

/** Makes one that changes nothing. */
export const createChangeBatch = (): ChangeBatch => ({
  frontends: new Map(),
  pools: new Map(),
  slots: new Map(),
  backends: new Map(),
  tables: new Map(),
});

function addAll<Key, Row>(into: Map<Key, Row>, rows: ReadonlyMap<Key, Row>): void {
  for (const [key, row] of rows) into.set(key, row);
}

/** Adds a later change to an earlier one. */
export function addChange(batch: ChangeBatch, change: ServiceChange): void {
  addAll(batch.frontends, change.frontends);
  addAll(batch.pools, change.pools);
  addAll(batch.slots, change.slots);
  addAll(batch.backends, change.backends);
  addAll(batch.tables, change.tables);
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, index) => byte === b[index]);

/** Whether two rows are the same. */
export const sameFields = <Row extends object>(a: Row, b: Row): boolean => {
  for (const field in a) {
    const [value, other]: readonly unknown[] = [a[field], b[field]];
    if (value === other) continue;
    if (!(value instanceof Uint8Array && other instanceof Uint8Array && sameBytes(value, other))) return false;
  }
  return true;
};

/** Writes into `change` what makes `after` of `before`. */
export function diffRows<Key, Row extends object>(
  change: Map<Key, Row | undefined>,
  { before, after }: { readonly before: ReadonlyMap<Key, Row>; readonly after: ReadonlyMap<Key, Row> },
): void {
  // Services come by the thousand, and then there is nothing to compare.
  if (before.size === 0) {
    for (const [key, row] of after) change.set(key, row);
    return;
  }
  for (const [key, row] of after) {
    const known = before.get(key);
    if (known === undefined || !sameFields(row, known)) change.set(key, row);
  }
  for (const key of before.keys()) if (!after.has(key)) change.set(key, undefined);
}
