// SPDX-License-Identifier: Apache-2.0
import { wellKnownLabelKey } from '@weir/model';
import type { SelectorSpec } from '../selector-spec.ts';

/**
 * Tells the selectors that select every pod of a cluster because of labels that every pod has: those that want just that
 * there be a namespace, or the name of the cluster.
 */
export function forAllPodsOf(clusterName: string): (spec: SelectorSpec) => boolean {
  return ({ requirements }) =>
    requirements.length > 0 &&
    requirements.every(({ source, key, operator, values }) => {
      if (source !== 'k8s' && source !== 'any') return false;
      if (key === wellKnownLabelKey.namespace) return operator === 'Exists';
      if (key !== wellKnownLabelKey.cluster) return false;
      return operator === 'Exists' || (operator === 'In' && values.includes(clusterName));
    });
}
