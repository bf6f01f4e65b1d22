// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';
import type { Requirement, SelectorSpec } from '../selector-spec.ts';

/** Finds the label sets that a new selector could select, without looking at the others. */
export interface LabelIndex {
  add(id: number, labels: LabelSet): void;
  remove(id: number, labels: LabelSet): void;
  /** Every number whose labels the selector selects is among them; undefined: it could be any. */
  candidates(spec: SelectorSpec): Iterable<number> | undefined;
}

/** Makes an empty index. */
export function createLabelIndex(): LabelIndex {
  const byKey = new Map<string, Map<string, Set<number>>>();

  /** The sets of numbers that together hold all who meet a requirement; undefined when it is a negative one. */
  const postings = ({ key, operator, values }: Requirement): Set<number>[] | undefined => {
    const byValue = byKey.get(key);
    if (operator === 'Exists') return [...(byValue?.values() ?? [])];
    if (operator === 'In') return values.flatMap((value) => byValue?.get(value) ?? []);
    return undefined;
  };
  const sizeOf = (sets: readonly Set<number>[]): number => sets.reduce((size, set) => size + set.size, 0);

  return {
    add(id, labels) {
      for (const { key, value } of labels.labels) {
        let byValue = byKey.get(key);
        if (byValue === undefined) byKey.set(key, (byValue = new Map()));
        const ids = byValue.get(value);
        if (ids === undefined) byValue.set(value, new Set([id]));
        else ids.add(id);
      }
    },
    remove(id, labels) {
      for (const { key, value } of labels.labels) {
        const byValue = byKey.get(key);
        const ids = byValue?.get(value);
        ids?.delete(id);
        if (ids?.size === 0) byValue?.delete(value);
        if (byValue?.size === 0) byKey.delete(key);
      }
    },
    candidates(spec) {
      const choices = spec.requirements.map(postings).filter((sets) => sets !== undefined);
      const [best] = choices.sort((a, b) => sizeOf(a) - sizeOf(b));
      return best?.flatMap((ids) => [...ids]);
    },
  };
}
