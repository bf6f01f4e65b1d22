// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import {
  fromBytes,
  lbPool,
  lbSocketKind,
  mapSpecs,
  toBytes,
  type LbBackend,
  type LbBackendState,
  type LbFrontend,
  type LbFrontendKey,
  type LbSelection,
  type LbSlot,
  type LbSlotKey,
} from '@weir/datapath-layout';
import {
  frontendName,
  slotNumber,
  slotPlace,
  type FrontendRow,
  type PoolRow,
  type ServiceDatapath,
} from '@weir/datapath-maps';
import { createMaglevTables } from './maglev-tables.ts';
import { createMapRows, type MapRows } from './map-rows.ts';
import { readServiceTraffic, readServiceTrafficGradually } from './service-traffic.ts';

/** Load balancing in the kernel but for the programs at sockets. */
export interface ServiceTables extends Omit<ServiceDatapath, 'attachSockets'> {
  close(): void;
}

/** The open maps. */
export interface ServiceMaps {
  readonly lbFrontends: BpfMap;
  readonly lbOutside: BpfMap;
  readonly lbPools: BpfMap;
  readonly lbSlots: BpfMap;
  readonly lbBackends: BpfMap;
  readonly lbMaglev: BpfMap;
  readonly lbCounters: BpfMap;
  readonly lbSockets: BpfMap;
}

interface PoolMemory {
  readonly count: number;
  all(): Map<number, PoolRow>;
  /** One 64-bit store: a client sees the old word or the new one. */
  write(pool: number, row: PoolRow | undefined): void;
  close(): void;
}

function createPoolMemory(map: BpfMap): PoolMemory {
  const memory = map.mmap();
  const words = new BigUint64Array(memory.buffer);
  const rowAt = (pool: number): PoolRow => {
    const word = fromBytes(lbPool, new Uint8Array(memory.buffer, pool * lbPool.size, lbPool.size));
    return { ...word, selection: word.selection as LbSelection };
  };
  return {
    count: words.length,
    all() {
      const rows = new Map<number, PoolRow>();
      for (let pool = 0; pool < words.length; pool++) if (words[pool] !== 0n) rows.set(pool, rowAt(pool));
      return rows;
    },
    write(pool, row) {
      const word = row === undefined ? 0n : new DataView(toBytes(lbPool, row).buffer).getBigUint64(0, true);
      Atomics.store(words, pool, word);
    },
    close: () => memory.close(),
  };
}

/** Splits rows to write from keys to delete. */
function split<Key, Row>(rows: ReadonlyMap<Key, Row | undefined>): { written: [Key, Row][]; removed: Key[] } {
  const written: [Key, Row][] = [];
  const removed: Key[] = [];
  for (const [key, row] of rows) {
    if (row === undefined) removed.push(key);
    else written.push([key, row]);
  }
  return { written, removed };
}

type FrontendRows = Parameters<ServiceDatapath['apply']>[0]['frontends'];

function splitFrontends(rows: FrontendRows): { written: [LbFrontendKey, FrontendRow][]; removed: LbFrontendKey[] } {
  const written: [LbFrontendKey, FrontendRow][] = [];
  const removed: LbFrontendKey[] = [];
  for (const row of rows.values()) {
    if ('removed' in row) removed.push(row.removed);
    else written.push([row, row]);
  }
  return { written, removed };
}

/** The frontends that callers from outside reach; what is in the kernel is looked up once. */
function createOutsideRows(table: MapRows<LbFrontendKey, LbFrontend>): {
  names(): ReadonlySet<string>;
  set(rows: readonly [LbFrontendKey, FrontendRow][]): void;
  delete(keys: readonly LbFrontendKey[]): void;
} {
  const known = new Set(table.all().map(([key]) => frontendName(key)));
  const remove = (keys: readonly LbFrontendKey[]): void =>
    table.deleteAll(keys.filter((key) => known.delete(frontendName(key))));
  return {
    names: () => known,
    set(rows) {
      const external = rows.filter(([, { isExternal }]) => isExternal);
      table.setAll(external);
      for (const [key] of external) known.add(frontendName(key));
      remove(rows.flatMap(([key, { isExternal }]) => (isExternal ? [] : [key])));
    },
    delete: remove,
  };
}

/** `outside`: those of the frontends that callers from outside reach. */
const frontendOf =
  (outside: ReadonlySet<string>) =>
  ([key, row]: readonly [LbFrontendKey, LbFrontend]) => {
    const name = frontendName(key);
    return [name, { ...key, ...row, isExternal: outside.has(name) }] as const;
  };

const slotOf = ([{ pool, index }, row]: readonly [LbSlotKey, LbSlot]) => [slotNumber(pool, index), row] as const;

const backendOf = ([id, row]: readonly [number, LbBackend]) =>
  [id, { ...row, state: row.state as LbBackendState }] as const;

async function collect<K, V, Key, Row>(
  table: MapRows<K, V>,
  rowOf: (row: readonly [K, V]) => readonly [Key, Row],
): Promise<Map<Key, Row>> {
  const rows = new Map<Key, Row>();
  for await (const slice of table.slices()) for (const row of slice) rows.set(...rowOf(row));
  return rows;
}

// A batch ends at the first backend that has not been called, and few have been where many go.
const manyRemoved = 100;

function deleteCounters(map: BpfMap, removed: readonly number[]): void {
  if (removed.length === 0) return;
  const counted = removed.length < manyRemoved ? undefined : readServiceTraffic(map);
  const ids = counted === undefined ? removed : removed.filter((id) => counted.has(id));
  if (ids.length > 0) map.deleteMany(new Uint8Array(Uint32Array.from(ids).buffer));
}

/**
 * Ties the open maps to what the agent's features see of them. `bump` has flows looked at anew: what is sent to an address
 * that becomes a service's goes to a backend from then on.
 */
export function createServiceTables(maps: ServiceMaps, bump: () => void): ServiceTables {
  const frontends = createMapRows(maps.lbFrontends, mapSpecs.lbFrontends);
  const outside = createOutsideRows(createMapRows(maps.lbOutside, mapSpecs.lbOutside));
  const slots = createMapRows(maps.lbSlots, mapSpecs.lbSlots);
  const backends: MapRows<number, LbBackend> = createMapRows(maps.lbBackends, mapSpecs.lbBackends);
  const sockets = createMapRows(maps.lbSockets, mapSpecs.lbSockets);
  const pools = createPoolMemory(maps.lbPools);
  const tables = createMaglevTables(maps.lbMaglev);
  return {
    limits: {
      frontendsMax: maps.lbFrontends.info.maxEntries,
      poolsMax: pools.count,
      slotsMax: maps.lbSlots.info.maxEntries,
      backendsMax: maps.lbBackends.info.maxEntries,
      tablesMax: maps.lbMaglev.info.maxEntries,
    },
    placeTables: tables.place,
    /*
     * What is referred to comes before what refers to it, and goes after it. A pool's word decides which slots count: it
     * follows the slots that it gains, and goes before those that it loses. Emptied pools come last of all words, when no
     * frontend names them any more.
     */
    apply(change) {
      const backendRows = split(change.backends);
      const slotRows = split(change.slots);
      const frontendRows = splitFrontends(change.frontends);
      const poolRows = split(change.pools);
      backends.setAll(backendRows.written);
      slots.setAll(slotRows.written.map(([number, row]) => [slotPlace(number), row]));
      tables.writeAll(change.tables);
      for (const [pool, row] of poolRows.written) pools.write(pool, row);
      frontends.setAll(frontendRows.written);
      outside.set(frontendRows.written);
      if (frontendRows.written.length > 0) bump();
      outside.delete(frontendRows.removed);
      frontends.deleteAll(frontendRows.removed);
      for (const pool of poolRows.removed) pools.write(pool, undefined);
      tables.deleteAll(change.tables);
      slots.deleteAll(slotRows.removed.map(slotPlace));
      backends.deleteAll(backendRows.removed);
      deleteCounters(maps.lbCounters, backendRows.removed);
    },
    read() {
      const poolRows = pools.all();
      return {
        frontends: new Map(frontends.all().map(frontendOf(outside.names()))),
        pools: poolRows,
        slots: new Map(slots.all().map(slotOf)),
        backends: new Map(backends.all().map(backendOf)),
        tables: tables.all(poolRows),
      };
    },
    async readGradually() {
      const rows = {
        frontends: await collect(frontends, frontendOf(outside.names())),
        pools: pools.all(),
        slots: await collect(slots, slotOf),
        backends: await collect(backends, backendOf),
      };
      const traffic = await readServiceTrafficGradually(maps.lbCounters);
      return { rows: { ...rows, tables: tables.all(rows.pools) }, traffic };
    },
    traffic: () => readServiceTraffic(maps.lbCounters),
    socketBackend: ({ cookie, address, port, protocol }) =>
      sockets.get({ cookie, address, port, protocol, kind: lbSocketKind.peer })?.backend,
    close: () => pools.close(),
  };
}
