// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Cidr, cidrAddressAt, cidrContains, cidrSize, formatCidr, formatIpAddress } from '@weir/model';
import { type IpAddress, ipAddressToBigInt, isIpv4Cidr } from '@weir/model';

/** Addresses of one range of this node's. */
export interface AddressPool {
  /** The address of the node itself in the range: the gateway that its pods see. */
  readonly router: IpAddress;
  /** How many addresses can be handed out at the same time. */
  readonly capacity: number;
  readonly allocatedCount: number;
  /** Hands out a free address. Throws RESOURCE_EXHAUSTED when there is none. */
  allocate(): IpAddress;
  /** Takes a certain address, as a restarted agent does. Throws ALREADY_EXISTS or INVALID_ARGUMENT (not of this pool). */
  claim(address: IpAddress): void;
  /** Makes an address free again; one that is free, or of a range that the node had before, is not an error. */
  release(address: IpAddress): void;
}

// A /64 has more addresses than anybody counts; a node with this many pods has other problems.
const capacityMax = 65_533;
const routerIndex = 1;
const firstIndex = 2;

/**
 * Hands out the addresses of a range in turn, so that an address that has become free rests as long as possible: what
 * remembers its last owner (caches of clients, neighbours of other machines) has time to forget it.
 */
export function createAddressPool(cidr: Cidr): AddressPool {
  // The first address names the range, the second is the node's; the last of an IPv4 range is its broadcast address.
  const usable = cidrSize(cidr) - BigInt(firstIndex) - (isIpv4Cidr(cidr) ? 1n : 0n);
  if (usable < 1n) {
    throw new WeirError('INVALID_ARGUMENT', `The pod range ${formatCidr(cidr)} has no address for a pod`);
  }
  const capacity = usable > BigInt(capacityMax) ? capacityMax : Number(usable);
  const base = ipAddressToBigInt(cidr.address);
  const taken = new Set<number>();
  let next = 0;

  const offsetOf = (address: IpAddress): number | undefined => {
    const offset = ipAddressToBigInt(address) - base - BigInt(firstIndex);
    return !cidrContains(cidr, address) || offset < 0n || offset >= BigInt(capacity) ? undefined : Number(offset);
  };

  return {
    router: cidrAddressAt(cidr, BigInt(routerIndex)),
    capacity,
    get allocatedCount() {
      return taken.size;
    },
    allocate() {
      if (taken.size >= capacity) {
        throw new WeirError(
          'RESOURCE_EXHAUSTED',
          `All ${capacity} addresses of the pod range ${formatCidr(cidr)} are in use`,
        );
      }
      while (taken.has(next)) next = (next + 1) % capacity;
      taken.add(next);
      const address = cidrAddressAt(cidr, BigInt(next + firstIndex));
      next = (next + 1) % capacity;
      return address;
    },
    claim(address) {
      const offset = offsetOf(address);
      if (offset === undefined) {
        throw new WeirError(
          'INVALID_ARGUMENT',
          `${formatIpAddress(address)} is not an address for pods of the range ${formatCidr(cidr)}`,
        );
      }
      if (taken.has(offset)) {
        throw new WeirError('ALREADY_EXISTS', `The address ${formatIpAddress(address)} is in use already`);
      }
      taken.add(offset);
      // A restarted agent goes on behind what it finds, so that addresses freed while it was away rest, too.
      next = Math.max(next, (offset + 1) % capacity);
    },
    release(address) {
      const offset = offsetOf(address);
      if (offset !== undefined) taken.delete(offset);
    },
  };
}
