// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { bpfAddon, type BpfBinding, type MapHandle, type NativeMapInfo } from './bpf-binding.ts';
import type { BpfProgram } from './bpf-program.ts';
import { mapType, type MapType } from './kernel-enums.ts';
import { MappedMemory } from './mapped-memory.ts';
import { readSlices, readWhole, type MapEntries, type ScanOptions } from './map-scan.ts';
import { closedHandle, closeNow, closeWhenCollected } from './native.ts';
import { pinTo, type PinOptions } from './pin.ts';

/** Bits of `flags` when a map is made. */
export const mapFlags = {
  /** Entries are allocated when they are written; an LPM trie must have it. */
  noPrealloc: 1 << 0,
  noCommonLru: 1 << 1,
  /** User space may only read. */
  readOnly: 1 << 3,
  writeOnly: 1 << 4,
  /** Programs may only read. */
  readOnlyProgram: 1 << 7,
  writeOnlyProgram: 1 << 8,
  /** An array that can be mapped into memory. */
  mmapable: 1 << 10,
  /** An array as inner map whose number of entries may differ from the others' (5.10). */
  innerMap: 1 << 12,
} as const;

/** What a map is. Sizes in bytes. */
export interface MapInfo {
  /** As the kernel has it: at most 15 characters. */
  readonly name: string;
  readonly type: MapType | `unknown(${number})`;
  readonly id: number;
  readonly keySize: number;
  /** As declared. */
  readonly valueSize: number;
  /** What look-ups and updates take: `valueSize`, or for per-CPU maps 8-byte aligned values of all possible CPUs. */
  readonly valueStride: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/** "any" writes always; "create" only if the key is missing, "replace" only if it is there. */
export type UpdateMode = 'any' | 'create' | 'replace';

/** Keys, and for an update their values, one after the other without gaps. */
export interface MapBatch {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

/** Where a look-up of many keys puts what it finds. */
export interface LookupBatch extends MapBatch {
  /** One byte a key: 1 if it was there, else 0 and its value is left as it was. */
  readonly found: Uint8Array;
}

const updateFlags: Readonly<Record<UpdateMode, number>> = { any: 0, create: 1, replace: 2 };

/**
 * An open map. Keys and values are bytes of exactly `keySize` and `valueStride`; anything else is INVALID_ARGUMENT. A missing
 * key is an answer (`undefined`, `false`), never an error. After `close()` every call throws FAILED_PRECONDITION.
 */
export class BpfMap implements Disposable {
  readonly info: MapInfo;
  /** Of this process, and valid until `close()`. */
  readonly fd: number;
  readonly #native: BpfBinding;
  #handle: MapHandle;

  /** Takes over a handle of the addon: made by `createMap`, `openPinnedMap`, `openMapById` and `loadObject`. */
  constructor(handle: MapHandle) {
    this.#native = bpfAddon();
    this.#handle = handle;
    const { fd, ...info } = this.#native.mapInfo(handle);
    this.fd = fd;
    this.info = mapInfoFromNative(info);
    closeWhenCollected(this, handle);
  }

  /** For other parts of this library. */
  get handle(): MapHandle {
    return this.#handle;
  }

  /** The value of `key`, written into `into` if that is given (then nothing is allocated), or `undefined`. */
  lookup(key: Uint8Array, into: Uint8Array = new Uint8Array(this.info.valueStride)): Uint8Array | undefined {
    return this.#native.mapLookup(this.#handle, key, into, 0) ? into : undefined;
  }

  /** Looks up and deletes in one step: queues and stacks (with an empty key), and from 5.14 hash tables. */
  take(key: Uint8Array, into: Uint8Array = new Uint8Array(this.info.valueStride)): Uint8Array | undefined {
    return this.#native.mapTake(this.#handle, key, into, 0) ? into : undefined;
  }

  /** Writes one element; false if `mode` asked for a presence or an absence that is not so. */
  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode = 'any'): boolean {
    return this.#native.mapUpdate(this.#handle, key, value, updateFlags[mode]);
  }

  /** Deletes one element; false if it was not there. */
  delete(key: Uint8Array): boolean {
    return this.#native.mapDelete(this.#handle, key);
  }

  /**
   * Writes many elements with one system call where the kernel can; returns how many were written, which are all of them
   * with mode "any". A failure half-way is a KernelError whose `details.processed` says how many were done.
   */
  updateMany({ keys, values }: MapBatch, mode: UpdateMode = 'any'): number {
    return this.#native.mapUpdateMany(this.#handle, keys, this.#count(keys), updateFlags[mode], values);
  }

  /** As `updateMany`, on a pool thread; the buffers are copied and may be used again at once. */
  updateManyAsync({ keys, values }: MapBatch, mode: UpdateMode = 'any'): Promise<number> {
    return this.#native.mapUpdateManyAsync(this.#handle, keys, this.#count(keys), updateFlags[mode], values);
  }

  /** Deletes many elements; returns how many were there. */
  deleteMany(keys: Uint8Array): number {
    return this.#native.mapDeleteMany(this.#handle, keys, this.#count(keys), 0);
  }

  /** As `deleteMany`, on a pool thread; the buffer is copied and may be used again at once. */
  deleteManyAsync(keys: Uint8Array): Promise<number> {
    return this.#native.mapDeleteManyAsync(this.#handle, keys, this.#count(keys), 0);
  }

  /** Looks up many keys in one call; returns how many were there. */
  lookupMany({ keys, values, found }: LookupBatch): number {
    return this.#native.mapLookupMany(this.#handle, keys, this.#count(keys), 0, values, found);
  }

  /**
   * Walks the map in slices read on a pool thread. What is there during the whole walk comes exactly once, whatever else
   * changes meanwhile. A slice's buffers are used again for the next one.
   */
  slices(options: ScanOptions = {}): AsyncGenerator<MapEntries, void, undefined> {
    return readSlices(this, options);
  }

  /** All entries, read here and now. */
  entries(options: ScanOptions = {}): MapEntries {
    return readWhole(this, options);
  }

  /** From now on user space cannot write the map any more. */
  freeze(): void {
    this.#native.mapFreeze(this.#handle);
  }

  /** The values of an array made with `mapFlags.mmapable` as memory: reads and writes need no system call. */
  mmap(): MappedMemory {
    return new MappedMemory(this.#native.mapMmap(this.#handle));
  }

  /** Puts a map into this map of maps. */
  updateInner(key: Uint8Array, inner: BpfMap): void {
    this.update(key, int32Bytes(inner.fd));
  }

  /** Puts a program into this program array. */
  updateProgram(key: Uint8Array, program: BpfProgram): void {
    this.update(key, int32Bytes(program.fd));
  }

  /** Opens the inner map of `key`; the caller closes it. */
  lookupInner(key: Uint8Array): BpfMap | undefined {
    const id = this.lookup(key);
    if (id === undefined) return undefined;
    return openMapById(new DataView(id.buffer, id.byteOffset, 4).getUint32(0, true));
  }

  /** Pins the map, so that it outlives this process. */
  pin(path: string, options?: PinOptions): void {
    pinTo((at) => this.#native.mapPin(this.#handle, at), path, options);
  }

  /** Uses no batch operation of the kernel from now on: tests what happens on a kernel that has none. */
  disableBatch(): void {
    this.#native.mapDisableBatch(this.#handle);
  }

  /** Closes the descriptor; work that is under way on the pool finishes first. Closing twice is harmless. */
  close(): void {
    closeNow(this, this.#handle);
    this.#handle = closedHandle as MapHandle;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #count(keys: Uint8Array): number {
    return this.info.keySize === 0 ? 0 : Math.floor(keys.length / this.info.keySize);
  }
}

/** A map to be made. */
export interface MapSpec {
  /** At most 15 characters of letters, digits, `_` and `.`. */
  readonly name: string;
  readonly type: MapType;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags?: number;
  /** For maps of maps: an example of what they will hold. */
  readonly inner?: BpfMap;
}

/** Makes a map in the kernel. */
export function createMap(spec: MapSpec): BpfMap {
  const { name, type, keySize, valueSize, maxEntries, flags = 0, inner } = spec;
  const number = mapType.numberOf(type);
  return new BpfMap(bpfAddon().mapCreate(number, keySize, valueSize, maxEntries, flags, name, inner?.handle));
}

/** Opens a pinned map; NOT_FOUND if there is none, FAILED_PRECONDITION if something else is pinned there. */
export function openPinnedMap(path: string): BpfMap {
  return new BpfMap(bpfAddon().mapOpenPinned(path));
}

/** Opens any map of the system by its id. */
export function openMapById(id: number): BpfMap {
  return new BpfMap(bpfAddon().mapOpenById(id));
}

function mapInfoFromNative({ type, ...rest }: Omit<NativeMapInfo, 'fd'>): MapInfo {
  return { ...rest, type: mapType.nameOf(type) };
}

function int32Bytes(value: number): Uint8Array {
  if (value < 0) throw new WeirError('FAILED_PRECONDITION', 'Cannot refer to a closed map or program');
  return new Uint8Array(new Int32Array([value]).buffer);
}
