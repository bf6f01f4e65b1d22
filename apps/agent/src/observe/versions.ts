// SPDX-License-Identifier: Apache-2.0

interface Version<Value> {
  readonly sinceMs: number;
  /** Undefined: gone from then on. */
  readonly value: Value | undefined;
}

/** Values that change, by key, so that it can be asked what one was at some time. */
export interface Versions<Key, Value> {
  put(key: Key, version: { readonly sinceMs: number; readonly value: Value | undefined }): void;
  /**
   * The value at a time. What is gone is remembered as it was last, and what came later counts for before: an event may be
   * a little older than the news of whom it is about.
   */
  at(key: Key, timeMs: number): Value | undefined;
  latest(key: Key): Value | undefined;
  /** Forgets what nothing behind a time can ask for any more. */
  prune(beforeMs: number): void;
  readonly size: number;
}

/** Keeps nothing at first. */
export function createVersions<Key, Value>(): Versions<Key, Value> {
  const histories = new Map<Key, Version<Value>[]>();

  const find = (versions: readonly Version<Value>[], timeMs: number): Value | undefined => {
    for (let index = versions.length - 1; index >= 0; index--) {
      const version = versions[index];
      if (version?.value !== undefined && (version.sinceMs <= timeMs || index === 0)) return version.value;
    }
    return undefined;
  };

  const pruned = (versions: readonly Version<Value>[], beforeMs: number): Version<Value>[] => {
    const kept = versions.filter((_, index) => (versions[index + 1]?.sinceMs ?? Infinity) > beforeMs);
    const [only] = kept;
    return kept.length === 1 && only?.value === undefined ? [] : kept;
  };

  return {
    put(key, version) {
      const versions = histories.get(key);
      if (versions === undefined) histories.set(key, [version]);
      else versions.push(version);
    },
    at(key, timeMs) {
      const versions = histories.get(key);
      return versions === undefined ? undefined : find(versions, timeMs);
    },
    latest: (key) => histories.get(key)?.at(-1)?.value,
    prune(beforeMs) {
      for (const [key, versions] of histories) {
        if (versions.length === 1 && versions[0]?.value !== undefined) continue;
        const kept = pruned(versions, beforeMs);
        if (kept.length === 0) histories.delete(key);
        else histories.set(key, kept);
      }
    },
    get size() {
      return histories.size;
    },
  };
}
