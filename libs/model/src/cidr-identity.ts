// SPDX-License-Identifier: Apache-2.0
import { type Cidr, formatCidr, parseCidr } from './cidr.ts';
import type { Label } from './label.ts';
import { createLabelSet, type LabelSet } from './label-set.ts';

/**
 * The labels of the identity of a prefix: `reserved:world` and `cidr:<prefix>`. The prefixes that cover it are not among
 * them: a selector of the source `cidr` holds for every identity whose prefix lies in the one that it names.
 */
export function cidrIdentityLabels(prefix: Cidr): LabelSet {
  return createLabelSet([
    { source: 'reserved', key: 'world', value: '' },
    { source: 'cidr', key: formatCidr(prefix), value: '' },
  ]);
}

/** The prefix that a label of the source `cidr` names; undefined for every other label, and for what is not a prefix. */
export function cidrOfLabel({ source, key }: Pick<Label, 'key'> & { readonly source: string }): Cidr | undefined {
  if (source !== 'cidr') return undefined;
  try {
    return parseCidr(key);
  } catch {
    return undefined;
  }
}
