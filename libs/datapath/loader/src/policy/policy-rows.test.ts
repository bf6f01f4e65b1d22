// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { direction, policyKeyKind, policyPeerShift } from '@weir/datapath-layout';
import type { PolicyMapKey } from '@weir/datapath-maps';
import { clusterPeer, identityRange } from '@weir/model';
import fc from 'fast-check';
import { kindOf, packKey, prefixLengthOf, unpackKey } from './policy-rows.ts';

const arbitraryKey = fc
  .record({
    direction: fc.constantFrom(direction.ingress, direction.egress),
    peerIdentity: fc.oneof(fc.constantFrom(0, clusterPeer, identityRange.localNode.max), fc.nat(2 ** 26 - 2)),
    protocol: fc.nat(255),
    bits: fc.nat(0xffff),
    portPrefixLength: fc.nat(16),
  })
  .map(({ bits, ...key }): PolicyMapKey => {
    const port = (bits >> (16 - key.portPrefixLength)) << (16 - key.portPrefixLength);
    return { ...key, port };
  });

describe('packKey()', () => {
  it('is undone by unpackKey(), and stays an exact number', () => {
    fc.assert(
      fc.property(arbitraryKey, (key) => {
        expect(Number.isSafeInteger(packKey(key))).toBe(true);
        expect(unpackKey(packKey(key))).toEqual({ ...key, portPrefixLength: prefixLengthOf(key) });
      }),
    );
  });

  it('takes a port without a prefix length for one port, and port 0 for all', () => {
    const key = { direction: direction.ingress, peerIdentity: 1, protocol: 6 };
    expect(unpackKey(packKey({ ...key, port: 80 }))).toMatchObject({ port: 80, portPrefixLength: 16 });
    expect(unpackKey(packKey({ ...key, port: 0 }))).toMatchObject({ port: 0, portPrefixLength: 0 });
  });
});

describe('kindOf()', () => {
  const key = { direction: direction.ingress, peerIdentity: 1, protocol: 6, port: 80 };
  it.each([
    [key, policyKeyKind.port << policyPeerShift.one],
    [{ ...key, portPrefixLength: 12 }, policyKeyKind.range << policyPeerShift.one],
    [{ ...key, port: 0, portPrefixLength: 1 }, policyKeyKind.range << policyPeerShift.one],
    [{ ...key, port: 0 }, policyKeyKind.protocol << policyPeerShift.one],
    [{ ...key, peerIdentity: clusterPeer, protocol: 0, port: 0 }, policyKeyKind.any << policyPeerShift.pods],
    [{ ...key, peerIdentity: 0 }, policyKeyKind.port << policyPeerShift.any],
  ])('of %j is %i', (given, kind) => expect(kindOf(given)).toBe(kind));
});
