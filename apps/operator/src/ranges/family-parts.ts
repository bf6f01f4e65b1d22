// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Cidr, cidrContainsCidr, formatCidr } from '@weir/model';
import type { PodRangePool } from './pod-range-pool.ts';

/** Which parts of one pool are in use. */
export interface FamilyParts {
  take(range: Cidr): void;
  release(range: Cidr): void;
  /** Whether it is a part of the pool that nobody has. */
  isFree(range: Cidr): boolean;
  /**
   * A part that is free, and overlaps none of `occupied`: `known` if it is one, otherwise the one that has been free for
   * longest, as far as that is known. RESOURCE_EXHAUSTED when there is none.
   */
  choose(request: { readonly known: Cidr | undefined; readonly occupied: readonly Cidr[] }): Cidr;
}

const overlap = (a: Cidr, b: Cidr): boolean =>
  cidrContainsCidr({ outer: a, inner: b }) || cidrContainsCidr({ outer: b, inner: a });

/** Makes the account of a pool of which nothing is in use. */
export function createFamilyParts(pool: PodRangePool): FamilyParts {
  const used = new Set<number>();
  // In use since the pool was another one.
  const foreign = new Map<string, Cidr>();
  let next = 0;

  const isFree = (index: number, avoid: ReturnType<typeof sortOut>): boolean => {
    if (used.has(index) || avoid.indexes.has(index)) return false;
    return avoid.others.length === 0 || !avoid.others.some((range) => overlap(range, pool.at(index)));
  };
  /** Parts are compared by their number; what is not a part costs a comparison with each. */
  const sortOut = (ranges: readonly Cidr[]) => {
    const indexes = new Set<number>();
    const others: Cidr[] = [];
    for (const range of ranges) {
      const index = pool.indexOf(range);
      if (index !== undefined) indexes.add(index);
      else if (overlap(pool.prefix, range)) others.push(range);
    }
    return { indexes, others };
  };

  return {
    take(range) {
      const index = pool.indexOf(range);
      if (index === undefined) return void foreign.set(formatCidr(range), range);
      used.add(index);
      next = index + 1;
    },
    release(range) {
      const index = pool.indexOf(range);
      if (index === undefined) foreign.delete(formatCidr(range));
      else used.delete(index);
    },
    isFree(range) {
      const index = pool.indexOf(range);
      return index !== undefined && isFree(index, sortOut([...foreign.values()]));
    },
    choose({ known, occupied }) {
      const avoid = sortOut([...occupied, ...foreign.values()]);
      const wanted = known && pool.indexOf(known);
      if (wanted !== undefined && isFree(wanted, avoid)) return pool.at(wanted);
      for (let step = 0; step < pool.capacity; step += 1) {
        const index = (next + step) % pool.capacity;
        if (isFree(index, avoid)) return pool.at(index);
      }
      throw new WeirError(
        'RESOURCE_EXHAUSTED',
        `All ${pool.capacity} ranges of ${pool.nodePrefixLength} bits of the pool ${formatCidr(pool.prefix)} are in use`,
      );
    },
  };
}
