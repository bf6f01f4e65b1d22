// SPDX-License-Identifier: Apache-2.0
import {
  attributePrefix,
  type AttributeSet,
  type Requirement,
  requiredPrefix,
  type SelectorSpec,
} from '../selector-spec.ts';
import { createLabelPostings } from './label-postings.ts';
import { createPrefixIndex } from './prefix-index.ts';

/** Finds the label sets that a new selector could select, without looking at the others. */
export interface LabelIndex {
  add(id: number, labels: AttributeSet): void;
  remove(id: number, labels: AttributeSet): void;
  /** Every number whose labels the selector selects is among them; undefined: it could be any. */
  candidates(spec: SelectorSpec): Iterable<number> | undefined;
}

/** Makes an empty index. */
export function createLabelIndex(): LabelIndex {
  const postings = createLabelPostings<number>();
  const byPrefix = createPrefixIndex<number>();

  /** The sets of numbers that together hold all who meet a requirement; undefined when it is a negative one. */
  const meeting = ({ key, operator, values }: Requirement): readonly ReadonlySet<number>[] | undefined => {
    if (operator === 'Exists') return postings.ofKey(key);
    return operator === 'In' ? values.flatMap((value) => postings.get(key, value) ?? []) : undefined;
  };
  const sizeOf = (sets: readonly ReadonlySet<number>[]): number => sets.reduce((size, set) => size + set.size, 0);

  return {
    add(id, set) {
      for (const { key, value } of set.labels) postings.add(key, value, id);
      const prefix = attributePrefix(set);
      if (prefix !== undefined) byPrefix.add(prefix, id);
    },
    remove(id, set) {
      for (const { key, value } of set.labels) postings.remove(key, value, id);
      const prefix = attributePrefix(set);
      if (prefix !== undefined) byPrefix.remove(prefix, id);
    },
    candidates(spec) {
      for (const requirement of spec.requirements) {
        const prefix = requiredPrefix(requirement);
        if (prefix !== undefined) return byPrefix.within(prefix);
      }
      const choices = spec.requirements.map(meeting).filter((sets) => sets !== undefined);
      const [best] = choices.sort((a, b) => sizeOf(a) - sizeOf(b));
      return best?.flatMap((ids) => [...ids]);
    },
  };
}
