// SPDX-License-Identifier: Apache-2.0
import { type BpfMap, createMap, mapFlags } from '@weir/bpf-loader-node';
import { lbSelection } from '@weir/datapath-layout';
import type { PoolRow, ServiceChange } from '@weir/datapath-maps';

type Tables = ServiceChange['tables'];

/** The tables of pools that choose by Maglev: a map each, in a map of maps. */
export interface MaglevTables {
  /** See `ServiceDatapath.placeTables`. */
  place(tables: Tables): Promise<void>;
  /**
   * One of the same size is written where it lies, entry by entry: an entry means something without the others. Of another
   * size it is another map, put in the place of the one before at once.
   */
  writeAll(tables: Tables): void;
  /** Those that are undefined. Nobody waits until they are gone, which takes the kernel a while. */
  deleteAll(tables: Tables): void;
  /** Those of pools, as long as the pools say. */
  all(pools: ReadonlyMap<number, PoolRow>): Map<number, Uint32Array>;
}

// Each is an open file until it is in the kernel's hands.
const portionMax = 128;

const keyOf = (pool: number): Uint8Array<ArrayBuffer> => new Uint8Array(Uint32Array.of(pool).buffer);

function newTable(table: Uint32Array): BpfMap {
  const inner = createMap({
    ...{ name: 'weir_lb_table', type: 'array', keySize: 4, valueSize: 8, maxEntries: Math.ceil(table.length / 2) },
    flags: mapFlags.mmapable | mapFlags.innerMap,
  });
  const memory = inner.mmap();
  new Uint32Array(memory.buffer).set(table);
  memory.close();
  return inner;
}

interface Portion extends Disposable {
  readonly keys: Uint8Array<ArrayBuffer>;
  readonly values: Uint8Array<ArrayBuffer>;
}

function* portionsOf(tables: readonly (readonly [number, Uint32Array])[]): Generator<Portion> {
  for (let start = 0; start < tables.length; start += portionMax) {
    const rows = tables.slice(start, start + portionMax);
    const inners = rows.map(([, table]) => newTable(table));
    yield {
      keys: new Uint8Array(Uint32Array.from(rows, ([pool]) => pool).buffer),
      values: new Uint8Array(Int32Array.from(inners, ({ fd }) => fd).buffer),
      [Symbol.dispose]: () => inners.forEach((inner) => inner.close()),
    };
  }
}

/** Writes into one of the same size; false if there is none. */
function writeInPlace(outer: BpfMap, { pool, table }: { readonly pool: number; readonly table: Uint32Array }): boolean {
  using inner = outer.lookupInner(keyOf(pool));
  if (inner?.info.maxEntries !== Math.ceil(table.length / 2)) return false;
  const memory = inner.mmap();
  const words = new Uint32Array(memory.buffer);
  table.forEach((backend, index) => {
    if (words[index] !== backend) Atomics.store(words, index, backend);
  });
  memory.close();
  return true;
}

const present = (tables: Tables): (readonly [number, Uint32Array])[] =>
  [...tables].flatMap(([pool, table]) => (table === undefined ? [] : [[pool, table] as const]));

/** Ties the open map of maps to tables. */
export function createMaglevTables(outer: BpfMap): MaglevTables {
  const leaving = new Set<number>();
  return {
    async place(tables) {
      const missing = present(tables).filter(([pool]) => outer.lookup(keyOf(pool)) === undefined);
      for (const portion of portionsOf(missing)) {
        using each = portion;
        await outer.updateManyAsync(each);
      }
    },
    writeAll(tables) {
      const missing = present(tables).filter(([pool, table]) => !writeInPlace(outer, { pool, table }));
      for (const portion of portionsOf(missing)) {
        using each = portion;
        outer.updateMany(each);
      }
      for (const pool of tables.keys()) leaving.delete(pool);
    },
    deleteAll(tables) {
      const pools = [...tables].flatMap(([pool, table]) => (table === undefined ? [pool] : []));
      if (pools.length === 0) return;
      for (const pool of pools) leaving.add(pool);
      const done = (): void => pools.forEach((pool) => leaving.delete(pool));
      outer.deleteManyAsync(new Uint8Array(Uint32Array.from(pools).buffer)).then(done, done);
    },
    all(wanted) {
      const { count, keys } = outer.entries();
      const pools = new Uint32Array(keys.buffer, keys.byteOffset, count);
      const tables = new Map<number, Uint32Array>();
      for (const pool of pools) {
        const row = wanted.get(pool);
        if (leaving.has(pool)) continue;
        using inner = outer.lookupInner(keyOf(pool));
        if (inner === undefined) continue;
        const memory = inner.mmap();
        const entries = row?.selection === lbSelection.maglev ? row.count : inner.info.maxEntries * 2;
        tables.set(pool, new Uint32Array(memory.buffer.slice(0, entries * 4)));
        memory.close();
      }
      return tables;
    },
  };
}
