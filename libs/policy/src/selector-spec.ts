// SPDX-License-Identifier: Apache-2.0
import type { LabelSet, LabelSource } from '@weir/model';

/** How a requirement looks at a label: as in Kubernetes, the negative ones also hold where there is no such label. */
export type SelectorOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

/** One condition on labels. The source `any` looks at labels of every source. */
export interface Requirement {
  readonly source: LabelSource;
  readonly key: string;
  readonly operator: SelectorOperator;
  /** Sorted, without duplicates; empty for `Exists` and `DoesNotExist`. */
  readonly values: readonly string[];
}

/** Conditions of which all must hold, in canonical order. Plain data: may be stored and sent to another thread. */
export interface SelectorSpec {
  readonly requirements: readonly Requirement[];
  /** Equal for equal selectors only, and fit to be read: `any:org=empire && any:class notin (xwing)`; `*` selects all. */
  readonly key: string;
}

// Whatever is not plainly a word is quoted, so that no value can look like another selector.
const quoted = (value: string): string => (/^[\w./-]+$/.test(value) ? value : JSON.stringify(value));

function requirementKey(requirement: Requirement): string {
  const { source, key, operator, values } = requirement;
  const name = `${source}:${key}`;
  switch (operator) {
    case 'Exists':
      return name;
    case 'DoesNotExist':
      return `!${name}`;
    case 'In':
      return values.length === 1
        ? `${name}=${quoted(values[0] ?? '')}`
        : `${name} in (${values.map(quoted).join(',')})`;
    case 'NotIn':
      return `${name} notin (${values.map(quoted).join(',')})`;
  }
}

/** Makes the canonical selector of some requirements, in any order and with duplicates. */
export function createSelectorSpec(requirements: Iterable<Requirement>): SelectorSpec {
  const byKey = new Map<string, Requirement>();
  for (const given of requirements) {
    const requirement = { ...given, values: [...new Set(given.values)].sort() };
    byKey.set(requirementKey(requirement), requirement);
  }
  const keys = [...byKey.keys()].sort();
  return {
    requirements: keys.flatMap((key) => byKey.get(key) ?? []),
    key: keys.length === 0 ? '*' : keys.join(' && '),
  };
}

/** Selects everything, also what has no labels. */
export const wildcardSelector: SelectorSpec = createSelectorSpec([]);

/** The requirement that a label has one certain value. */
export function labelIs(source: LabelSource, key: string, value = ''): Requirement {
  return { source, key, operator: 'In', values: [value] };
}

function meets(requirement: Requirement, set: LabelSet): boolean {
  const { source, key, operator, values } = requirement;
  const isNegative = operator === 'NotIn' || operator === 'DoesNotExist';
  const anyValue = operator === 'Exists' || operator === 'DoesNotExist';
  for (const label of set.labels) {
    if (label.key !== key || (source !== 'any' && source !== label.source)) continue;
    if (anyValue || values.includes(label.value)) return !isNegative;
  }
  return isNegative;
}

/** Whether a selector selects who has these labels. */
export function selectorMatches(selector: SelectorSpec, set: LabelSet): boolean {
  return selector.requirements.every((requirement) => meets(requirement, set));
}
