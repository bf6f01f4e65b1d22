// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  type Cidr,
  cidrAddressAt,
  cidrContainsCidr,
  createCidr,
  formatCidr,
  ipAddressToBigInt,
  isIpv4Cidr,
} from '@weir/model';

/** A range of the cluster, cut into equal parts. */
export interface PodRangePool {
  readonly prefix: Cidr;
  readonly nodePrefixLength: number;
  /** How many parts there are. */
  readonly capacity: number;
  /** The part with a number from 0 on. */
  at(index: number): Cidr;
  /** The number of a part; undefined for what is none of this pool. */
  indexOf(range: Cidr): number | undefined;
}

// The directory of nodes holds no more; nobody needs to count further.
const capacityMax = 65_536;
const bitsMax = 128;
const ipv4Offset = 96;

/** Makes the pool. INVALID_ARGUMENT where parts would not fit into it, or are too small for pods. */
export function createPodRangePool(prefix: Cidr, nodePrefixLength: number): PodRangePool {
  const offset = isIpv4Cidr(prefix) ? ipv4Offset : 0;
  const length = nodePrefixLength + offset;
  if (length < prefix.prefixLength || length > bitsMax - 2) {
    const shortest = prefix.prefixLength - offset;
    throw new WeirError(
      'INVALID_ARGUMENT',
      `A node's part of ${formatCidr(prefix)} cannot have a prefix of ${nodePrefixLength} bits, expected ${shortest} to ${bitsMax - offset - 2}`,
    );
  }
  const hostBits = BigInt(bitsMax - length);
  const capacity = Math.min(capacityMax, 2 ** (length - prefix.prefixLength));
  return {
    prefix,
    nodePrefixLength,
    capacity,
    at: (index) => createCidr(cidrAddressAt(prefix, BigInt(index) << hostBits), length),
    indexOf(range) {
      if (range.prefixLength !== length || !cidrContainsCidr({ outer: prefix, inner: range })) return undefined;
      const index = Number((ipAddressToBigInt(range.address) - ipAddressToBigInt(prefix.address)) >> hostBits);
      return index < capacity ? index : undefined;
    },
  };
}
