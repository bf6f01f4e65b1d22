// SPDX-License-Identifier: Apache-2.0
import { bpfAddon, type ScanHandle } from './bpf-binding.ts';
import type { BpfMap } from './bpf-map.ts';

const sliceEntriesDefault = 4096;

/** How to walk a map. */
export interface ScanOptions {
  /** Entries read with one system call: 1 to 1048576, 4096 unless told. */
  readonly sliceEntries?: number;
  /** Also deletes what is read, in the same step where the kernel can (hash tables). */
  readonly remove?: boolean;
}

/** Entries of a map: `count` keys and `count` values, one after the other without gaps. */
export interface MapEntries {
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

interface Buffers {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

/** See `BpfMap.slices`. */
export async function* readSlices(map: BpfMap, options: ScanOptions): AsyncGenerator<MapEntries, void, undefined> {
  const native = bpfAddon();
  const { sliceEntries = sliceEntriesDefault } = options;
  const buffers = makeBuffers(map, Math.min(sliceEntries, map.info.maxEntries));
  const scan = openScan(map, options);
  try {
    for (let left = await native.scanFillAsync(scan); left > 0; left = await native.scanFillAsync(scan)) {
      while (left > 0) {
        const entries = take(map, scan, buffers);
        left -= entries.count;
        yield entries;
      }
    }
  } finally {
    native.close(scan);
  }
}

/** See `BpfMap.entries`. */
export function readWhole(map: BpfMap, options: ScanOptions): MapEntries {
  const native = bpfAddon();
  const scan = openScan(map, options);
  const parts: MapEntries[] = [];
  try {
    for (let left = native.scanFill(scan); left > 0; left = native.scanFill(scan)) {
      parts.push(take(map, scan, makeBuffers(map, left)));
    }
  } finally {
    native.close(scan);
  }
  return {
    count: parts.reduce((count, part) => count + part.count, 0),
    keys: concat(parts.map((part) => part.keys)),
    values: concat(parts.map((part) => part.values)),
  };
}

function openScan(map: BpfMap, { sliceEntries = sliceEntriesDefault, remove = false }: ScanOptions): ScanHandle {
  return bpfAddon().scanOpen(map.handle, sliceEntries, remove);
}

function makeBuffers({ info }: BpfMap, entries: number): Buffers {
  return { keys: new Uint8Array(entries * info.keySize), values: new Uint8Array(entries * info.valueStride) };
}

function take({ info }: BpfMap, scan: ScanHandle, { keys, values }: Buffers): MapEntries {
  const count = bpfAddon().scanTake(scan, keys, values);
  return {
    count,
    keys: keys.subarray(0, count * info.keySize),
    values: values.subarray(0, count * info.valueStride),
  };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
