// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import type { Codec, MapSpec } from '@weir/datapath-layout';

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
  set(key: K, value: V): void;
  /** One system call where the kernel can. */
  setAll(rows: readonly (readonly [K, V])[]): void;
  delete(key: K): boolean;
  deleteAll(keys: readonly K[]): void;
  all(): (readonly [K, V])[];
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
  return {
    map,
    get: (wanted) => (map.lookup(encodeKey(wanted), value) === undefined ? undefined : spec.value.decode(valueView, 0)),
    set(wanted, written) {
      spec.value.encode(valueView, 0, written);
      map.update(encodeKey(wanted), value);
    },
    setAll(rows) {
      if (rows.length === 0) return;
      map.updateMany({
        keys: encodeAll(
          spec.key,
          rows.map(([each]) => each),
        ),
        values: encodeAll(
          spec.value,
          rows.map(([, each]) => each),
        ),
      });
    },
    delete: (wanted) => map.delete(encodeKey(wanted)),
    deleteAll(keys) {
      if (keys.length > 0) map.deleteMany(encodeAll(spec.key, keys));
    },
    all() {
      const { count, keys, values } = map.entries();
      const keysView = viewOf(keys);
      const valuesView = viewOf(values);
      return Array.from({ length: count }, (_, index) => [
        spec.key.decode(keysView, index * spec.key.size),
        spec.value.decode(valuesView, index * spec.value.size),
      ]);
    },
  };
}
