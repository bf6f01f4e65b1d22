// SPDX-License-Identifier: Apache-2.0
import { directions } from '@weir/model';
import type { Policy } from './rule.ts';
import type { SelectorSpec } from './selector-spec.ts';

const isOfNode = ({ requirements }: SelectorSpec): boolean =>
  requirements.some(({ source, key }) => source === 'reserved' && key === 'remote-node');

/** Keys that a selector of peers may mean labels of nodes by: all of one that is about nodes, else those of their source. */
const keysOf = (selector: SelectorSpec): string[] =>
  selector.requirements
    .filter(({ source }) => source === 'node' || (source === 'any' && isOfNode(selector)))
    .map(({ key }) => key);

/** The labels that nodes must be told apart by before a policy is applied: the keys that its peers are selected by. */
export function policyNodeLabels(policy: Policy): string[] {
  const selectors = policy.rules.flatMap((rule) =>
    directions.flatMap((direction) => {
      const { grants, required, requiredOfDenied } = rule[direction];
      const peers = grants.flatMap(({ peers: named }) => (named === 'any' ? [] : named));
      return [...peers, ...(required ? [required] : []), ...(requiredOfDenied ? [requiredOfDenied] : [])];
    }),
  );
  return [...new Set(selectors.flatMap(keysOf))].sort();
}
