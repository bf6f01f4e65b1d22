// SPDX-License-Identifier: Apache-2.0
import { direction, policyKeyKind, type PolicyEntry, type PolicyKey } from '@weir/datapath-layout';
import type { PolicyMapEntry } from '@weir/datapath-maps';

/**
 * One policy's entries without their version, small: a million of them must fit. The key is packed into 51 bits of a
 * number (identities have 26 at most), the value is a number in a {@link ValueTable}.
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
    numberOf(value) {
      const text = `${value.verdict}/${value.ruleSet}/${value.cookie}`;
      const known = numbers.get(text);
      if (known !== undefined) return known;
      numbers.set(text, values.length);
      values.push({ verdict: value.verdict, ruleSet: value.ruleSet, cookie: value.cookie });
      return values.length - 1;
    },
    valueOf(number) {
      const value = values[number];
      if (value === undefined) throw new RangeError(`No value ${number}`);
      return value;
    },
  };
}

type Key = Omit<PolicyKey, 'version'>;

/** The place of an entry in {@link PolicyRows}. */
export function packKey({ peerIdentity, protocol, port, direction: way }: Key): number {
  return ((peerIdentity * 0x100 + protocol) * 0x10000 + port) * 2 + (way === direction.egress ? 1 : 0);
}

/** The reverse of {@link packKey}. */
export function unpackKey(packed: number): Key {
  const rest = Math.floor(packed / 2);
  return {
    direction: packed % 2 === 1 ? direction.egress : direction.ingress,
    port: rest % 0x10000,
    protocol: Math.floor(rest / 0x10000) % 0x100,
    peerIdentity: Math.floor(rest / 0x1000000),
  };
}

/** Which kind of key the programs must look for to find this one. */
export function kindOf({ peerIdentity, protocol, port }: Key): number {
  if (port !== 0) return peerIdentity === 0 ? policyKeyKind.protocolPort : policyKeyKind.peerProtocolPort;
  if (protocol !== 0) return peerIdentity === 0 ? policyKeyKind.protocol : policyKeyKind.peerProtocol;
  return peerIdentity === 0 ? policyKeyKind.any : policyKeyKind.peer;
}

/** An entry in domain terms. */
export function rowEntry(packed: number, value: PolicyEntry): PolicyMapEntry {
  const key = unpackKey(packed);
  return {
    ...key,
    direction: key.direction as PolicyMapEntry['direction'],
    verdict: value.verdict as PolicyMapEntry['verdict'],
    ruleSet: value.ruleSet,
    cookie: value.cookie,
  };
}
