// SPDX-License-Identifier: Apache-2.0

/** Things found by the key and the value of a label. */
export interface LabelPostings<T> {
  add(key: string, value: string, thing: T): void;
  remove(key: string, value: string, thing: T): void;
  get(key: string, value: string): ReadonlySet<T> | undefined;
  /** What lies under a key, a set for each value. */
  ofKey(key: string): readonly ReadonlySet<T>[];
  readonly isEmpty: boolean;
}

/** Makes empty postings. */
export function createLabelPostings<T>(): LabelPostings<T> {
  const byKey = new Map<string, Map<string, Set<T>>>();
  return {
    add(key, value, thing) {
      const byValue = byKey.get(key);
      const things = byValue?.get(value);
      if (things !== undefined) things.add(thing);
      else if (byValue !== undefined) byValue.set(value, new Set([thing]));
      else byKey.set(key, new Map([[value, new Set([thing])]]));
    },
    remove(key, value, thing) {
      const byValue = byKey.get(key);
      const things = byValue?.get(value);
      things?.delete(thing);
      if (things?.size === 0) byValue?.delete(value);
      if (byValue?.size === 0) byKey.delete(key);
    },
    get: (key, value) => byKey.get(key)?.get(value),
    ofKey: (key) => [...(byKey.get(key)?.values() ?? [])],
    get isEmpty() {
      return byKey.size === 0;
    },
  };
}
