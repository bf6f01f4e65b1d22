// SPDX-License-Identifier: Apache-2.0
import { ctFlag, ctKeyFlag, dropReasonNames, type CtEntry, type CtKey } from '@weir/datapath-layout';
import { formatIpAddress } from '@weir/model';
import { parties } from './scene.ts';

/** A conntrack entry, told from the end that opened the flow. */
export interface FlowState {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly ports: readonly [from: number, to: number];
  readonly isProxyLeg: boolean;
  /** Names of `enum ct_flag` without who opened it. */
  readonly flags: readonly string[];
  readonly asked: { readonly packets: number; readonly bytes: number };
  readonly answered: { readonly packets: number; readonly bytes: number };
  /** `forwarded` or why packets are dropped. */
  readonly verdict: string;
  /** Until it is forgotten, in seconds. */
  readonly leftSeconds: number;
  readonly entry: CtEntry;
  readonly key: CtKey;
}

/** The name of the party that has an address, or the address. */
export function partyName(address: Uint8Array): string {
  const text = formatIpAddress(address);
  return parties.find(({ ipv4, ipv6 }) => ipv4 === text || ipv6 === text)?.name ?? text;
}

const flagNames = (flags: number): string[] =>
  Object.entries(ctFlag)
    .filter(([name, bit]) => name !== 'openedByHigh' && (flags & bit) !== 0)
    .map(([name]) => name);

/** Puts an entry into words; `nowTicks` is the time of the programs. */
export function flowStateOf({ key, entry }: { key: CtKey; entry: CtEntry }, nowTicks: number): FlowState {
  const low = { address: key.lowAddress, port: key.lowPort };
  const high = { address: key.highAddress, port: key.highPort };
  const [from, to] = (entry.flags & ctFlag.openedByHigh) !== 0 ? [high, low] : [low, high];
  return {
    from: partyName(from.address),
    to: partyName(to.address),
    protocol: key.protocol,
    ports: [from.port, to.port],
    isProxyLeg: (key.flags & ctKeyFlag.proxyLeg) !== 0,
    flags: flagNames(entry.flags),
    asked: { packets: Number(entry.forwardPackets), bytes: Number(entry.forwardBytes) },
    answered: { packets: Number(entry.replyPackets), bytes: Number(entry.replyBytes) },
    verdict: dropReasonNames[entry.dropReason] ?? String(entry.dropReason),
    leftSeconds: (((entry.expires - nowTicks) | 0) * 2 ** 20) / 1e9,
    entry,
    key,
  };
}
