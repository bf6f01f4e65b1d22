// SPDX-License-Identifier: Apache-2.0
import type { BpfMap, MapEntries } from '@weir/bpf-loader-node';
import type { Codec, MapSpec } from '@weir/datapath-layout';
import { WeirError } from '@weir/errors';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The bytes of many values, one after the other. */
export function encodeAll<T>(codec: Codec<T>, values: readonly T[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(codec.size * values.length);
  const view = viewOf(bytes);
  values.forEach((value, index) => codec.encode(view, index * codec.size, value));
  return bytes;
}

/** A map in terms of its keys and values instead of bytes. Not for per-CPU maps. */
export interface MapRows<K, V> {
  readonly map: BpfMap;
  get(key: K): V | undefined;
  /**
   * One system call where the kernel can. Throws RESOURCE_EXHAUSTED, which names the map and its size, when it is full; some
   * rows may have been written then.
   */
  setAll(rows: readonly (readonly [K, V])[]): void;
  delete(key: K): boolean;
  deleteAll(keys: readonly K[]): void;
  all(): (readonly [K, V])[];
  /** The same, read on another thread a slice at a time, for those who must not keep others waiting. */
  slices(): AsyncGenerator<(readonly [K, V])[], void, undefined>;
}

function fullMap(map: BpfMap, rowCount: number, cause: unknown): unknown {
  if (!(cause instanceof WeirError) || cause.code !== 'RESOURCE_EXHAUSTED') return cause;
  const { name, maxEntries } = map.info;
  return new WeirError(
    'RESOURCE_EXHAUSTED',
    `The map "${name}" has no room for ${rowCount} more entries (it holds at most ${maxEntries})`,
    { cause, details: { map: name, entriesMax: maxEntries } },
  );
}

/**
 * Writes rows, all or none: what is written when the map turns out to be full is put back. The returned function puts back
 * the rows later.
 */
export function replaceRows<K, V>(table: MapRows<K, V>, rows: readonly (readonly [K, V])[]): () => void {
  const before = rows.map(([key]) => [key, table.get(key)] as const);
  const putBack = (): void => {
    table.deleteAll(before.flatMap(([key, value]) => (value === undefined ? [key] : [])));
    table.setAll(before.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])));
  };
  try {
    table.setAll(rows);
  } catch (error) {
    putBack();
    throw error;
  }
  return putBack;
}

/** Ties an open map to the codecs of its specification. */
export function createMapRows<K, V>(map: BpfMap, spec: MapSpec<K, V>): MapRows<K, V> {
  const key = new Uint8Array(spec.key.size);
  const keyView = viewOf(key);
  const value = new Uint8Array(spec.value.size);
  const valueView = viewOf(value);
  const encodeKey = (wanted: K): Uint8Array => {
    spec.key.encode(keyView, 0, wanted);
    return key;
  };
  const decodeEntries = ({ count, keys, values }: MapEntries): (readonly [K, V])[] => {
    const keysView = viewOf(keys);
    const valuesView = viewOf(values);
    return Array.from({ length: count }, (_, index) => [
      spec.key.decode(keysView, index * spec.key.size),
      spec.value.decode(valuesView, index * spec.value.size),
    ]);
  };
  return {
    map,
    get: (wanted) => (map.lookup(encodeKey(wanted), value) === undefined ? undefined : spec.value.decode(valueView, 0)),
    setAll(rows) {
      if (rows.length === 0) return;
      const [keys, values] = [rows.map(([each]) => each), rows.map(([, each]) => each)];
      try {
        map.updateMany({ keys: encodeAll(spec.key, keys), values: encodeAll(spec.value, values) });
      } catch (error) {
        throw fullMap(map, rows.length, error);
      }
    },
    delete: (wanted) => map.delete(encodeKey(wanted)),
    deleteAll(keys) {
      if (keys.length > 0) map.deleteMany(encodeAll(spec.key, keys));
    },
    all: () => decodeEntries(map.entries()),
    async *slices() {
      for await (const slice of map.slices()) yield decodeEntries(slice);
    },
  };
}
