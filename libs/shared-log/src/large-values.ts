// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import type { KeyValueStore } from './key-value-store.ts';

/** ASCII texts of any length in a store whose values have a limit. */
export interface LargeValues {
  /** What stands for the text: itself, or a reference to the parts that were written. `name` sorts by age. */
  write(name: string, text: string): Promise<string>;
  /** The text that a value stands for; undefined when parts of it are gone. */
  read(value: string): Promise<string | undefined>;
  /** Deletes the parts of texts whose names are at most `upTo`, but not those of `except`. */
  prune(options: { readonly upTo: string; readonly except: string }): Promise<void>;
}

export interface LargeValuesOptions {
  readonly store: KeyValueStore;
  readonly prefix: string;
}

// No JSON begins so.
const referenceMark = '@';
const partsReadMax = 16;

/** Makes the reader and writer of large values below `prefix`. */
export function createLargeValues({ store, prefix }: LargeValuesOptions): LargeValues {
  const partCharacters = store.valueBytesMax;
  return {
    async write(name, text) {
      if (text.length <= partCharacters) return text;
      const count = Math.ceil(text.length / partCharacters);
      // Its own name: two that write at the same place do not mix.
      const reference = `${name}-${randomUUID()}`;
      for (let part = 0; part < count; part += 1) {
        const value = text.slice(part * partCharacters, (part + 1) * partCharacters);
        await store.put({ key: `${prefix}/${reference}/${part}`, value });
      }
      return `${referenceMark}${reference} ${count}`;
    },
    async read(value) {
      if (!value.startsWith(referenceMark)) return value;
      const [reference = '', count = '0'] = value.slice(1).split(' ');
      const parts: string[] = [];
      for (let from = 0; from < Number(count); from += partsReadMax) {
        const length = Math.min(partsReadMax, Number(count) - from);
        const keys = Array.from({ length }, (_, index) => `${prefix}/${reference}/${from + index}`);
        for (const part of await store.getMany(keys)) {
          if (part === undefined) return undefined;
          parts.push(part);
        }
      }
      return parts.join('');
    },
    async prune({ upTo, except }) {
      const [kept = ''] = except.slice(1).split(' ');
      const nameOf = (key: string): string => key.slice(prefix.length + 1).split('/')[0] ?? '';
      const isOld = (name: string): boolean => name.slice(0, upTo.length) <= upTo && name !== kept;
      await store.delete((await store.keys(`${prefix}/`)).filter((key) => isOld(nameOf(key))));
    },
  };
}
