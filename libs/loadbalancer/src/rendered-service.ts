// SPDX-License-Identifier: Apache-2.0
import type { BackendRow, FrontendRow, PoolRow, SlotRow } from '@weir/datapath-maps';
import { type ChangeBatch, diffRows, sameFields } from './change-batch.ts';

/** One port of one service in one family, and the numbers that it has in the kernel. */
export interface RenderedGroup {
  readonly group: number;
  readonly pool: number;
  /** Address and port of each backend → its number. */
  readonly backends: ReadonlyMap<string, number>;
  /** Backends in the order of their slots. */
  readonly order: readonly number[];
  /** Its Maglev table, and what it was made of; absent: it has none, or nobody knows what it was made of. */
  readonly maglev?: BuiltTable;
}

/** A table of indexes of items; `signature` says which items, and how many entries. */
export interface BuiltTable {
  readonly signature: string;
  readonly indexes: Uint16Array;
}

/** A service as rows of the kernel. */
export interface RenderedService {
  /** By port name and family. */
  readonly groups: ReadonlyMap<string, RenderedGroup>;
  readonly frontends: ReadonlyMap<string, FrontendRow>;
  readonly pools: ReadonlyMap<number, PoolRow>;
  readonly slots: ReadonlyMap<number, SlotRow>;
  readonly backends: ReadonlyMap<number, BackendRow>;
  readonly tables: ReadonlyMap<number, Uint32Array>;
}

/** One that has nothing in the kernel. */
export const nothingRendered: RenderedService = {
  groups: new Map(),
  frontends: new Map(),
  pools: new Map(),
  slots: new Map(),
  backends: new Map(),
  tables: new Map(),
};

type Tables = RenderedService['tables'];

const sameTable = (a: Uint32Array, b: Uint32Array): boolean =>
  a === b || (a.length === b.length && a.every((entry, index) => entry === b[index]));

function diffTables(change: ChangeBatch['tables'], { before, after }: { before: Tables; after: Tables }): void {
  for (const [pool, table] of after) {
    const known = before.get(pool);
    if (known === undefined || !sameTable(table, known)) change.set(pool, table);
  }
  for (const pool of before.keys()) if (!after.has(pool)) change.set(pool, undefined);
}

/** Adds to a change what makes `after` of `before`. */
export function addDifference(
  change: ChangeBatch,
  { before, after }: { readonly before: RenderedService; readonly after: RenderedService },
): void {
  for (const [name, row] of after.frontends) {
    const known = before.frontends.get(name);
    if (known === undefined || !sameFields(row, known)) change.frontends.set(name, row);
  }
  for (const [name, removed] of before.frontends) {
    if (!after.frontends.has(name)) change.frontends.set(name, { removed });
  }
  diffRows(change.pools, { before: before.pools, after: after.pools });
  diffRows(change.slots, { before: before.slots, after: after.slots });
  diffRows(change.backends, { before: before.backends, after: after.backends });
  diffTables(change.tables, { before: before.tables, after: after.tables });
}
