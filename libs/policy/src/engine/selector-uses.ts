// SPDX-License-Identifier: Apache-2.0
import type { EngineState } from './engine-state.ts';
import type { SelectorUse } from './engine-types.ts';

const ascending = (numbers: Iterable<number>): number[] => [...new Set(numbers)].sort((a, b) => a - b);

/** See {@link PolicyEngine.selectors}. */
export function selectorUses({ peers }: EngineState): SelectorUse[] {
  return [...peers.selectors()]
    .map(({ spec, members, users }): SelectorUse => {
      const grants = [...users].flatMap((table) => [...table.grants.grantsNaming(spec)]);
      return {
        selector: spec.key,
        policies: [...new Set(grants.flatMap(({ origin }) => origin?.policy ?? []))].sort(),
        subjects: ascending([...users].map(({ owner }) => owner.subject)),
        identities: ascending(members),
      };
    })
    .sort((a, b) => (a.selector < b.selector ? -1 : 1));
}
