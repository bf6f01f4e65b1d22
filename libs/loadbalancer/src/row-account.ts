// SPDX-License-Identifier: Apache-2.0
import type { ServiceLimits } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import type { RenderedService } from './rendered-service.ts';

/** How many rows there are of a kind: those of a service, or of the kernel. */
type Sizes = { readonly [Kind in 'frontends' | 'slots' | 'backends' | 'tables']: { readonly size: number } };

/** How full the kernel's maps are. */
export interface RowAccount {
  /** Throws RESOURCE_EXHAUSTED when there is no room for `after` in place of `before`. */
  check(before: RenderedService, after: RenderedService): void;
  add(before: Sizes, after: Sizes): void;
}

/** Begins with what is there. */
export function createRowAccount(rows: Sizes, limits: ServiceLimits): RowAccount {
  const counts = {
    frontends: rows.frontends.size,
    slots: rows.slots.size,
    backends: rows.backends.size,
    tables: rows.tables.size,
  };
  const kinds = Object.keys(counts) as (keyof typeof counts)[];
  const after = (kind: keyof typeof counts, change: readonly [Sizes, Sizes]): number =>
    counts[kind] - change[0][kind].size + change[1][kind].size;
  return {
    check(from, to) {
      for (const kind of kinds) {
        const [count, max] = [after(kind, [from, to]), limits[`${kind}Max`]];
        if (count <= max) continue;
        throw new WeirError(
          'RESOURCE_EXHAUSTED',
          `There is no room for ${count} ${kind}; the kernel's map holds ${max}`,
        );
      }
    },
    add(from, to) {
      for (const kind of kinds) counts[kind] = after(kind, [from, to]);
    },
  };
}
