// SPDX-License-Identifier: Apache-2.0
import { type LabelSet, wellKnownLabelKey } from '@weir/model';
import type { Requirement, SelectorSpec } from '../selector-spec.ts';

/** Finds the selectors that could select a new set of labels, without looking at the others. */
export interface SelectorIndex<S> {
  add(spec: SelectorSpec, selector: S): void;
  remove(spec: SelectorSpec, selector: S): void;
  /** Every selector that selects these labels is among them; some may come twice. */
  candidates(labels: LabelSet): Iterable<S>;
}

// No label contains a control character.
const separator = '\0';
const anyNamespace = '*';

const isNamespaceMatch = ({ key, operator, values }: Requirement): boolean =>
  key === wellKnownLabelKey.namespace && operator === 'In' && values.length === 1;

/** How few label sets a requirement probably lets through; the lowest is the best to be found by. */
function selectivity({ operator, values }: Requirement): number {
  if (operator === 'In') return values.length;
  return operator === 'Exists' ? 1000 : Infinity;
}

/**
 * The buckets that a selector lies in: its namespace, where it names one, with one other requirement that a label must
 * meet. A selector with nothing but negative requirements is a candidate for everything in its namespace.
 */
function bucketsOf(spec: SelectorSpec): string[] {
  const namespace = spec.requirements.find(isNamespaceMatch);
  const prefix = `${namespace?.values[0] ?? anyNamespace}${separator}`;
  const [best] = spec.requirements
    .filter((requirement) => requirement !== namespace && selectivity(requirement) < Infinity)
    .sort((a, b) => selectivity(a) - selectivity(b));
  if (best === undefined) return [prefix];
  return best.operator === 'In'
    ? best.values.map((value) => `${prefix}${best.key}=${value}`)
    : [`${prefix}${best.key}`];
}

/** Makes an empty index. */
export function createSelectorIndex<S>(): SelectorIndex<S> {
  const buckets = new Map<string, Set<S>>();

  function* candidates(set: LabelSet): Iterable<S> {
    const namespaces = set.labels.filter(({ key }) => key === wellKnownLabelKey.namespace).map(({ value }) => value);
    for (const namespace of [anyNamespace, ...namespaces]) {
      const prefix = namespace + separator;
      yield* buckets.get(prefix) ?? [];
      for (const { key, value } of set.labels) {
        yield* buckets.get(prefix + key) ?? [];
        yield* buckets.get(`${prefix}${key}=${value}`) ?? [];
      }
    }
  }

  return {
    add(spec, selector) {
      for (const name of bucketsOf(spec)) {
        const bucket = buckets.get(name);
        if (bucket === undefined) buckets.set(name, new Set([selector]));
        else bucket.add(selector);
      }
    },
    remove(spec, selector) {
      for (const name of bucketsOf(spec)) {
        const bucket = buckets.get(name);
        bucket?.delete(selector);
        if (bucket?.size === 0) buckets.delete(name);
      }
    },
    candidates,
  };
}
