// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';
import type { Requirement, SelectorSpec } from '../selector-spec.ts';
import { createLabelPostings } from './label-postings.ts';

/** Finds the label sets that a new selector could select, without looking at the others. */
export interface LabelIndex {
  add(id: number, labels: LabelSet): void;
  remove(id: number, labels: LabelSet): void;
  /** Every number whose labels the selector selects is among them; undefined: it could be any. */
  candidates(spec: SelectorSpec): Iterable<number> | undefined;
}

/** Makes an empty index. */
export function createLabelIndex(): LabelIndex {
  const postings = createLabelPostings<number>();

  /** The sets of numbers that together hold all who meet a requirement; undefined when it is a negative one. */
  const meeting = ({ key, operator, values }: Requirement): readonly ReadonlySet<number>[] | undefined => {
    if (operator === 'Exists') return postings.ofKey(key);
    return operator === 'In' ? values.flatMap((value) => postings.get(key, value) ?? []) : undefined;
  };
  const sizeOf = (sets: readonly ReadonlySet<number>[]): number => sets.reduce((size, set) => size + set.size, 0);

  return {
    add(id, { labels }) {
      for (const { key, value } of labels) postings.add(key, value, id);
    },
    remove(id, { labels }) {
      for (const { key, value } of labels) postings.remove(key, value, id);
    },
    candidates(spec) {
      const choices = spec.requirements.map(meeting).filter((sets) => sets !== undefined);
      const [best] = choices.sort((a, b) => sizeOf(a) - sizeOf(b));
      return best?.flatMap((ids) => [...ids]);
    },
  };
}
