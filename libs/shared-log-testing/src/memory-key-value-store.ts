// SPDX-License-Identifier: Apache-2.0
// A key-value store in memory that several replicas share, with faults on demand: for histories that no real server can be
// made to have at will.
import { WeirError } from '@weir/errors';
import type { KeyValueStore } from '@weir/shared-log';

/** What goes wrong with one call: before it has happened, or after. */
export type Fault = 'none' | 'lost-before' | 'lost-after';

export interface MemoryKeyValueStore extends KeyValueStore {
  readonly writes: number;
  /** All keys, with their values. */
  readonly content: ReadonlyMap<string, string>;
  clear(): void;
}

/** Makes an empty store; `fault` is asked before every call, `delay` awaited. */
export function createMemoryKeyValueStore(
  behaviour: {
    readonly fault?: () => Fault;
    readonly delay?: () => Promise<void>;
    readonly valueBytesMax?: number;
  } = {},
): MemoryKeyValueStore {
  const content = new Map<string, string>();
  const versions = new Map<string, number>();
  const waiting = new Set<() => void>();
  let version = 0;
  let writes = 0;
  const write = (key: string, value: string): void => {
    version += 1;
    content.set(key, value);
    versions.set(key, version);
  };
  const call = async <Result>(run: () => Result): Promise<Result> => {
    const fault = behaviour.fault?.() ?? 'none';
    await (behaviour.delay?.() ?? Promise.resolve());
    if (fault === 'lost-before') throw new WeirError('UNAVAILABLE', 'Lost before');
    const result = run();
    if (fault === 'lost-after') throw new WeirError('UNAVAILABLE', 'Lost after');
    return result;
  };
  return {
    valueBytesMax: behaviour.valueBytesMax ?? 100_000,
    content,
    get writes() {
      return writes;
    },
    clear() {
      content.clear();
      versions.clear();
    },
    get: (key) =>
      call(() => {
        const value = content.get(key);
        return value === undefined ? undefined : { value, version: String(versions.get(key)) };
      }),
    getMany: (keys) => call(() => keys.map((key) => content.get(key))),
    put: ({ key, value }) => call(() => write(key, value)),
    swap: (swap) =>
      call(() => {
        const found = versions.get(swap.key);
        if (String(found ?? '') !== (swap.version ?? '')) return undefined;
        writes += 1;
        swap.others.forEach(({ key, value }) => write(key, value));
        write(swap.key, swap.value);
        [...waiting].forEach((wake) => wake());
        return String(version);
      }),
    keys: (prefix) => call(() => [...content.keys()].filter((key) => key.startsWith(prefix))),
    delete: (keys) => call(() => keys.forEach((key) => (content.delete(key), versions.delete(key)))),
    changed: (known, { waitMs, signal }) =>
      new Promise((resolve) => {
        if (String(versions.get(known.key) ?? '') !== known.version || signal.aborted) return resolve();
        const wake = (): void => {
          waiting.delete(wake);
          clearTimeout(timer);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const timer = setTimeout(wake, waitMs);
        signal.addEventListener('abort', wake);
        waiting.add(wake);
      }),
    close: () => undefined,
  };
}
