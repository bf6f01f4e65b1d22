// SPDX-License-Identifier: Apache-2.0
// The kernel reports things in the format in which it is asked to make them, so what is written must read back the same.
import { WeirError } from '@weir/errors';
import { createCidr, formatCidr, formatIpAddress, ipAddressFromBytes } from '@weir/model';
import fc from 'fast-check';
import { addAddress, decodeAddress } from './address.ts';
import { decodeLink } from './link.ts';
import { addVeth, addVxlan } from './link-kinds.ts';
import { addNeighbour, decodeNeighbour } from './neighbour.ts';
import type { Operation } from './operation.ts';
import { addRoute, decodeRoute, type Route } from './route.ts';
import { addRule, decodeRule, type Rule } from './rule.ts';
import { decodeEvent } from './watch.ts';

const bodyOf = ({ message }: Operation<unknown>): Uint8Array => message.subarray(16);
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const index = fc.integer({ min: 1, max: 0x7fff_ffff });
const table = fc.integer({ min: 1, max: 0xffff_ffff });
const protocol = fc.integer({ min: 5, max: 255 });

const addressOf = { ipv4: fc.uint8Array({ minLength: 4, maxLength: 4 }), ipv6: ipv6Bytes() };
function ipv6Bytes(): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.of(0xfd, ...bytes.subarray(1)));
}
const family = fc.constantFrom('ipv4' as const, 'ipv6' as const);
const textOf = (bytes: Uint8Array): string => formatIpAddress(ipAddressFromBytes(bytes));
const address = (of: 'ipv4' | 'ipv6'): fc.Arbitrary<string> => addressOf[of].map(textOf);
const network = (of: 'ipv4' | 'ipv6'): fc.Arbitrary<string> =>
  fc
    .tuple(addressOf[of], fc.integer({ min: of === 'ipv4' ? 0 : 1, max: of === 'ipv4' ? 32 : 128 }))
    .map(([bytes, length]) => formatCidr(createCidr(ipAddressFromBytes(bytes), of === 'ipv4' ? 96 + length : length)));
const macAddress = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':'));
const linkName = fc.stringMatching(/^[a-z][a-z0-9._-]{0,14}$/);

describe('what is written reads back the same', () => {
  it('as an address', () => {
    const arbitrary = family.chain((of) =>
      fc.record({
        linkIndex: index,
        address: address(of).map((text) => `${text}/${of === 'ipv4' ? 24 : 64}`),
        scope: fc.constantFrom('global', 'link', 'host', 'site'),
        noDuplicateDetection: fc.boolean(),
        noPrefixRoute: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(arbitrary, (given) => {
        expect(decodeAddress(bodyOf(addAddress(given)))).toEqual({
          ...given,
          family: given.address.includes(':') ? 'ipv6' : 'ipv4',
          tentative: false,
        });
      }),
    );
  });

  it('as a route', () => {
    const arbitrary = family.chain((of) =>
      fc.record<Route, 'destination'>(
        {
          destination: network(of),
          type: fc.constantFrom('unicast', 'local', 'blackhole', 'unreachable', 'prohibit'),
          table,
          gateway: fc.oneof(address('ipv4'), address('ipv6')),
          onLink: fc.constant(true),
          linkIndex: index,
          preferredSource: address(of),
          metric: uint32,
          mtu: fc.integer({ min: 1, max: 0xffff }),
          advertisedMss: fc.integer({ min: 1, max: 0xffff }),
          protocol,
        },
        { requiredKeys: ['destination'] },
      ),
    );
    fc.assert(
      fc.property(arbitrary, (given) => {
        expect(decodeRoute(bodyOf(addRoute(given)))).toMatchObject({
          type: 'unicast',
          table: 254,
          protocol: 4,
          ...given,
        });
      }),
    );
  });

  it('as a rule', () => {
    const arbitrary = family.chain((of) =>
      fc.record<Rule, 'family' | 'table'>(
        {
          family: fc.constant(of),
          table,
          priority: uint32,
          mark: fc.record({ value: uint32, mask: uint32 }),
          from: network(of),
          to: network(of),
          inputLink: linkName,
          outputLink: linkName,
          protocol,
        },
        { requiredKeys: ['family', 'table'] },
      ),
    );
    fc.assert(
      fc.property(arbitrary, (given) => {
        expect(decodeRule(bodyOf(addRule(given)))).toEqual({ priority: 0, protocol: 4, ...given });
      }),
    );
  });

  it('as a neighbour', () => {
    const arbitrary = family.chain((of) => fc.record({ linkIndex: index, address: address(of), macAddress }));
    fc.assert(
      fc.property(arbitrary, (given) => {
        expect(decodeNeighbour(bodyOf(addNeighbour(given)))).toMatchObject({ ...given, reachability: 'permanent' });
      }),
    );
  });

  it('as a link', () => {
    const arbitrary = fc.record({ name: linkName, up: fc.boolean(), noArp: fc.boolean(), mtu: index, macAddress });
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 1, max: 0xffff }), (given, port) => {
        expect(decodeLink(bodyOf(addVeth({ ...given, peer: { name: 'p' } })))).toMatchObject({
          ...given,
          kind: 'veth',
        });
        expect(decodeLink(bodyOf(addVxlan({ ...given, port, external: true })))).toMatchObject({
          ...given,
          vxlan: { vni: 0, port, external: true },
        });
      }),
    );
  });
});

describe('decodeEvent()', () => {
  it('throws a WeirError or gives an event or nothing, whatever the bytes are', () => {
    const sample = addVeth({ name: 'a', mtu: 1500, peer: { name: 'b' } });
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      // One byte of a real message changed: reaches further than noise does.
      fc.tuple(fc.nat(bodyOf(sample).length - 1), fc.nat(255)).map(([at, byte]) => {
        const bytes = bodyOf(sample).slice();
        bytes[at] = byte;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 33 }), bodies, (type, body) => {
        try {
          decodeEvent({ type, body });
        } catch (error) {
          expect(error).toBeInstanceOf(WeirError);
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('ignores what a bridge says of its ports', () => {
    const body = bodyOf(addVeth({ name: 'a', peer: { name: 'b' } })).slice();
    expect(decodeEvent({ type: 17, body })).toMatchObject({ kind: 'link', change: 'deleted' });
    body[0] = 7;
    expect(decodeEvent({ type: 17, body })).toBeUndefined();
  });
});
