// SPDX-License-Identifier: Apache-2.0
import { type Cidr, wellKnownLabelKey } from '@weir/model';
import {
  attributePrefix,
  type AttributeSet,
  type Requirement,
  requiredPrefix,
  type SelectorSpec,
} from '../selector-spec.ts';
import { createLabelPostings, type LabelPostings } from './label-postings.ts';
import { createPrefixIndex } from './prefix-index.ts';

/** Finds the selectors that could select a new set of labels, without looking at the others. */
export interface SelectorIndex<S> {
  add(spec: SelectorSpec, selector: S): void;
  remove(spec: SelectorSpec, selector: S): void;
  /** Every selector that selects these labels is among them; some may come twice. */
  candidates(labels: AttributeSet): Iterable<S>;
}

// Stand for every namespace, every value and no label at all. No label contains a control character.
const anyNamespace = '\0';
const anyValue = '\0';
const noKey = '\0';

const isNamespaceMatch = ({ key, operator, values }: Requirement): boolean =>
  key === wellKnownLabelKey.namespace && operator === 'In' && values.length === 1;

/** How few label sets a requirement probably lets through; the lowest is the best to be found by. */
function selectivity({ operator, values }: Requirement): number {
  if (operator === 'In') return values.length;
  return operator === 'Exists' ? 1000 : Infinity;
}

/** Where a selector lies: its namespace, where it names one, and labels of which whom it selects must have one. */
interface Bucket {
  readonly namespace: string;
  readonly labels: readonly { readonly key: string; readonly value: string }[];
}

/** The prefix in which whom a selector selects must lie. */
function prefixOf(spec: SelectorSpec): Cidr | undefined {
  for (const requirement of spec.requirements) {
    const prefix = requiredPrefix(requirement);
    if (prefix !== undefined) return prefix;
  }
  return undefined;
}

/** A selector with nothing but negative requirements is a candidate for everything in its namespace. */
function bucketOf(spec: SelectorSpec): Bucket {
  const match = spec.requirements.find(isNamespaceMatch);
  const namespace = match?.values[0] ?? anyNamespace;
  const [best] = spec.requirements
    .filter((requirement) => requirement !== match && selectivity(requirement) < Infinity)
    .sort((a, b) => selectivity(a) - selectivity(b));
  if (best === undefined) return { namespace, labels: [{ key: noKey, value: anyValue }] };
  const values = best.operator === 'In' ? best.values : [anyValue];
  return { namespace, labels: values.map((value) => ({ key: best.key, value })) };
}

/** Makes an empty index. */
export function createSelectorIndex<S>(): SelectorIndex<S> {
  const byNamespace = new Map<string, LabelPostings<S>>();
  const byPrefix = createPrefixIndex<S>();

  function* inNamespace(postings: LabelPostings<S>, set: AttributeSet): Iterable<S> {
    yield* postings.get(noKey, anyValue) ?? [];
    for (const { key, value } of set.labels) {
      yield* postings.get(key, anyValue) ?? [];
      yield* postings.get(key, value) ?? [];
    }
  }

  return {
    add(spec, selector) {
      const prefix = prefixOf(spec);
      if (prefix !== undefined) return byPrefix.add(prefix, selector);
      const { namespace, labels } = bucketOf(spec);
      const postings = byNamespace.get(namespace) ?? createLabelPostings<S>();
      byNamespace.set(namespace, postings);
      for (const { key, value } of labels) postings.add(key, value, selector);
    },
    remove(spec, selector) {
      const prefix = prefixOf(spec);
      if (prefix !== undefined) return byPrefix.remove(prefix, selector);
      const { namespace, labels } = bucketOf(spec);
      const postings = byNamespace.get(namespace);
      for (const { key, value } of labels) postings?.remove(key, value, selector);
      if (postings?.isEmpty) byNamespace.delete(namespace);
    },
    *candidates(set) {
      const prefix = attributePrefix(set);
      if (prefix !== undefined) yield* byPrefix.covering(prefix);
      const namespaces = set.labels.filter(({ key }) => key === wellKnownLabelKey.namespace).map(({ value }) => value);
      for (const namespace of [anyNamespace, ...namespaces]) {
        const postings = byNamespace.get(namespace);
        if (postings !== undefined) yield* inNamespace(postings, set);
      }
    },
  };
}
