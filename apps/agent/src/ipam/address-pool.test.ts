// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatIpAddress, parseCidr, parseIpAddress } from '@weir/model';
import { createAddressPool } from './address-pool.ts';

const pool = (cidr: string) => createAddressPool(parseCidr(cidr));

describe('createAddressPool()', () => {
  it('keeps the first address, the router and the IPv4 broadcast address to itself', () => {
    const small = pool('10.0.0.0/29');
    const handedOut = Array.from({ length: small.capacity }, () => formatIpAddress(small.allocate()));
    expect(handedOut).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(formatIpAddress(small.router)).toBe('10.0.0.1');
  });

  it('says which range is used up', () => {
    const small = pool('10.0.0.0/30');
    small.allocate();
    expect(() => small.allocate()).toThrow('All 1 addresses of the pod range 10.0.0.0/30 are in use');
  });

  it('lets a released address rest until all others had their turn', () => {
    const small = pool('fd00::/125');
    const first = small.allocate();
    small.release(first);
    const later = Array.from({ length: small.capacity }, () => formatIpAddress(small.allocate()));
    expect(later.indexOf(formatIpAddress(first))).toBe(small.capacity - 1);
  });

  it('claims an address once, and only one of its own', () => {
    const range = pool('10.0.0.0/24');
    range.claim(parseIpAddress('10.0.0.9'));
    expect(() => range.claim(parseIpAddress('10.0.0.9'))).toThrow('10.0.0.9 is in use already');
    expect(() => range.claim(parseIpAddress('10.0.1.9'))).toThrow('not an address for pods of the range 10.0.0.0/24');
    expect(() => range.claim(parseIpAddress('10.0.0.1'))).toThrow('10.0.0.1 is not an address for pods');
    expect(formatIpAddress(range.allocate())).toBe('10.0.0.10');
  });

  it.each(['10.0.0.0/31', '10.0.0.0/32', 'fd00::/127', 'fd00::/128'])('refuses %s, which has no room', (cidr) => {
    expect(() => pool(cidr)).toThrow(`The pod range ${cidr} has no address for a pod`);
  });

  it('never hands out an address twice, whatever is released when', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (steps) => {
        const range = pool('10.0.0.0/27');
        const held = new Map<string, Uint8Array>();
        for (const allocate of steps) {
          if (allocate && held.size < range.capacity) {
            const address = range.allocate();
            expect(held.has(formatIpAddress(address))).toBe(false);
            held.set(formatIpAddress(address), address);
          } else {
            for (const [text, address] of [...held].slice(0, 1)) {
              range.release(address);
              held.delete(text);
            }
          }
          expect(range.allocatedCount).toBe(held.size);
        }
      }),
    );
  });
});
