// SPDX-License-Identifier: Apache-2.0
import { type Cidr, cidrContainsCidr, cidrOfLabel, type LabelSource } from '@weir/model';

/** How a requirement looks at a label: as in Kubernetes, the negative ones also hold where there is no such label. */
export type SelectorOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

/** Where a requirement looks: at labels of a source, or at the named ports of an identity. */
export type AttributeSource = LabelSource | 'port';

/** A label, or something else that selectors can be about. */
export interface Attribute {
  readonly source: AttributeSource;
  readonly key: string;
  readonly value: string;
}

/** What selectors look at. A set of labels is one. */
export interface AttributeSet {
  readonly labels: readonly Attribute[];
  /** Equal sets have equal keys. */
  readonly key: string;
}

/**
 * One condition on labels. The source `any` looks at labels of every source. With the source `cidr` the key is a prefix,
 * and holds for identities of prefixes that lie in it; its operator is `Exists` or `DoesNotExist`.
 */
export interface Requirement {
  readonly source: AttributeSource;
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

/** A requirement as it can be read: `any:org=empire`, `!k8s:debug`. */
export function formatRequirement(requirement: Requirement): string {
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
    byKey.set(formatRequirement(requirement), requirement);
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
export function labelIs(source: AttributeSource, key: string, value = ''): Requirement {
  return { source, key, operator: 'In', values: [value] };
}

/** The requirement that there is a label, whatever its value. */
export function labelExists(source: AttributeSource, key: string): Requirement {
  return { source, key, operator: 'Exists', values: [] };
}

// Selectors and labels live long and are compared often.
const prefixes = new WeakMap<object, Cidr | undefined>();

function prefixOf(named: Pick<Attribute, 'source' | 'key'>): Cidr | undefined {
  if (!prefixes.has(named)) prefixes.set(named, cidrOfLabel(named));
  return prefixes.get(named);
}

/** The prefix that a positive requirement wants an identity's to lie in. */
export function requiredPrefix(requirement: Requirement): Cidr | undefined {
  return requirement.operator === 'Exists' ? prefixOf(requirement) : undefined;
}

/** The prefix whose identity has these attributes. */
export function attributePrefix({ labels }: AttributeSet): Cidr | undefined {
  for (const label of labels) if (label.source === 'cidr') return prefixOf(label);
  return undefined;
}

function liesIn(requirement: Requirement, set: AttributeSet): boolean {
  const outer = prefixOf(requirement);
  const inner = attributePrefix(set);
  return outer !== undefined && inner !== undefined && cidrContainsCidr({ outer, inner });
}

/** Whether one requirement holds for who has these attributes. */
export function requirementHolds(requirement: Requirement, set: AttributeSet): boolean {
  const { source, key, operator, values } = requirement;
  const isNegative = operator === 'NotIn' || operator === 'DoesNotExist';
  if (source === 'cidr') return liesIn(requirement, set) !== isNegative;
  const anyValue = operator === 'Exists' || operator === 'DoesNotExist';
  for (const label of set.labels) {
    if (label.key !== key || (source !== label.source && (source !== 'any' || label.source === 'port'))) continue;
    if (anyValue || values.includes(label.value)) return !isNegative;
  }
  return isNegative;
}

/** Whether a selector selects who has these attributes. */
export function selectorMatches(selector: SelectorSpec, set: AttributeSet): boolean {
  return selector.requirements.every((requirement) => requirementHolds(requirement, set));
}
