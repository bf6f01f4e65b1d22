// SPDX-License-Identifier: Apache-2.0
import {
  direction,
  policyKeyKind,
  policyPeerShift,
  type PolicyEntry,
  type PolicyKey,
  type PolicyRangeKey,
} from '@weir/datapath-layout';
import type { PolicyMapEntry, PolicyMapKey } from '@weir/datapath-maps';
import { clusterPeer } from '@weir/model';

/**
 * One policy's entries without their version, small: a million of them must fit. The key is packed into 52 bits of a
 * number, the value is a number in a {@link ValueTable}.
 */
export type PolicyRows = Map<number, number>;

/** Each different value once; there are few. */
export interface ValueTable {
  numberOf(value: PolicyEntry): number;
  valueOf(number: number): PolicyEntry;
}

/** Makes an empty table. */
export function createValueTable(): ValueTable {
  const values: PolicyEntry[] = [];
  const numbers = new Map<string, number>();
  return {
    numberOf({ verdict, ruleSet, cookie, counter }) {
      const text = `${verdict}/${ruleSet}/${cookie}/${counter}`;
      const known = numbers.get(text);
      if (known !== undefined) return known;
      numbers.set(text, values.length);
      values.push({ verdict, ruleSet, cookie, counter });
      return values.length - 1;
    },
    valueOf(number) {
      const value = values[number];
      if (value === undefined) throw new RangeError(`No value ${number}`);
      return value;
    },
  };
}

const portBits = 16;
// POLICY_RANGE_BITS in bpf/lib/structs.h: what stands before the port in the key of a range.
const rangeBits = 80;
// Identities have 26 bits; the highest number is nobody's.
const peerBits = 26;
const packedClusterPeer = 2 ** peerBits - 1;

/** How many bits of the port count. */
export const prefixLengthOf = ({ port, portPrefixLength }: Pick<PolicyMapKey, 'port' | 'portPrefixLength'>): number =>
  portPrefixLength ?? (port === 0 ? 0 : portBits);

/** A port's prefix in 17 bits: a one, and behind it the bits that count. */
const packPrefix = (port: number, length: number): number => (1 << length) | (port >> (portBits - length));

/** The place of an entry in {@link PolicyRows}. */
export function packKey(key: PolicyMapKey): number {
  const { peerIdentity, protocol, port, direction: way } = key;
  const peer = peerIdentity === clusterPeer ? packedClusterPeer : peerIdentity;
  const prefix = packPrefix(port, prefixLengthOf(key));
  return ((peer * 0x100 + protocol) * 0x20000 + prefix) * 2 + (way === direction.egress ? 1 : 0);
}

/** The reverse of {@link packKey}. */
export function unpackKey(packed: number): PolicyMapKey & { readonly portPrefixLength: number } {
  const rest = Math.floor(packed / 2);
  const prefix = rest % 0x20000;
  const portPrefixLength = 31 - Math.clz32(prefix);
  const peer = Math.floor(rest / 0x2000000);
  return {
    direction: packed % 2 === 1 ? direction.egress : direction.ingress,
    port: (prefix << (portBits - portPrefixLength)) & 0xffff,
    portPrefixLength,
    protocol: Math.floor(rest / 0x20000) % 0x100,
    peerIdentity: peer === packedClusterPeer ? clusterPeer : peer,
  };
}

/** Whether an entry is in the trie of ranges, and not in the hash. */
export const isRange = (packed: number): boolean => {
  const { portPrefixLength } = unpackKey(packed);
  return portPrefixLength > 0 && portPrefixLength < portBits;
};

/** The key of an entry that is not a range. */
export function exactKey(packed: number, version: number): PolicyKey {
  const { peerIdentity, protocol, port, direction: way } = unpackKey(packed);
  return { version, peerIdentity, protocol, port, direction: way };
}

/** The key of a range. */
export function rangeKey(packed: number, version: number): PolicyRangeKey {
  const { portPrefixLength, ...key } = unpackKey(packed);
  return { ...key, version, prefixLength: rangeBits + portPrefixLength };
}

/** The place of a range that was found in its trie. */
export const packRange = ({ prefixLength, ...key }: PolicyRangeKey): number =>
  packKey({
    ...key,
    direction: key.direction as PolicyMapKey['direction'],
    portPrefixLength: prefixLength - rangeBits,
  });

/** Which kind of key the programs must look for to find this one, as a bit of a policy word. */
export function kindOf({ peerIdentity, protocol, ...port }: PolicyMapKey): number {
  const { one, pods, any } = policyPeerShift;
  const shift = peerIdentity === 0 ? any : peerIdentity === clusterPeer ? pods : one;
  const length = prefixLengthOf(port);
  if (length === portBits) return policyKeyKind.port << shift;
  if (length > 0) return policyKeyKind.range << shift;
  return (protocol === 0 ? policyKeyKind.any : policyKeyKind.protocol) << shift;
}

/** An entry in domain terms. */
export function rowEntry(packed: number, value: PolicyEntry): PolicyMapEntry {
  const { portPrefixLength, ...key } = unpackKey(packed);
  return {
    ...key,
    ...(portPrefixLength > 0 && portPrefixLength < portBits && { portPrefixLength }),
    verdict: value.verdict as PolicyMapEntry['verdict'],
    ruleSet: value.ruleSet,
    cookie: value.cookie,
  };
}
