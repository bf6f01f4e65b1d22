// SPDX-License-Identifier: Apache-2.0

/** A value with the version of its key: any text that differs after every write of another value. */
export interface VersionedValue {
  readonly value: string;
  readonly version: string;
}

/** One write that happens only if nobody was faster. */
export interface Swap {
  readonly key: string;
  /** The version that the key must have; undefined: it must not exist. */
  readonly version: string | undefined;
  readonly value: string;
  /** Written together with it, whatever their versions; at most 8. */
  readonly others: readonly KeyValue[];
}

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** How long a caller waits for a change. */
export interface ChangeWait {
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * The little that a shared log needs of a store: Consul, etcd and their like have it. Reads see every write that was
 * acknowledged before. Calls fail with UNAVAILABLE when the store does not answer in time; a write may then have happened,
 * or happen later. Keys are `/`-separated ASCII.
 */
export interface KeyValueStore {
  /** How much one value may weigh. */
  readonly valueBytesMax: number;
  get(key: string): Promise<VersionedValue | undefined>;
  /** Values in the order of their keys. */
  getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  put(entry: KeyValue): Promise<void>;
  /** The new version of the key, or undefined when it has another version than was expected. */
  swap(swap: Swap): Promise<string | undefined>;
  /** Keys that begin with `prefix`. */
  keys(prefix: string): Promise<readonly string[]>;
  delete(keys: readonly string[]): Promise<void>;
  /**
   * Resolves when the key has another version than `version`, after `waitMs`, or when `signal` aborts. Rejects with
   * UNAVAILABLE when the store goes away.
   */
  changed(known: { readonly key: string; readonly version: string }, wait: ChangeWait): Promise<void>;
  close(): void;
}
