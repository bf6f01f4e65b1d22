// SPDX-License-Identifier: Apache-2.0
import type { flow } from '@weir/proto';
import { icmpSummary } from './icmp-summary.ts';

// In the order in which people know them, with the bit of each.
const flags = [
  ['SYN', 0x02],
  ['ACK', 0x10],
  ['RST', 0x04],
  ['FIN', 0x01],
  ['PSH', 0x08],
  ['URG', 0x20],
  ['ECE', 0x40],
  ['CWR', 0x80],
] as const;

/** IP protocol numbers that flows tell apart. */
export const ipProtocols = { icmp: 1, igmp: 2, tcp: 6, udp: 17, icmpv6: 58, vrrp: 112, sctp: 132 } as const;

const tcpFlagSets = new Map<number, flow.TCPFlags.$Properties>();

/** The flags of a TCP header; the same object for the same flags. */
export function tcpFlagsOf(bits: number): flow.TCPFlags.$Properties {
  const known = tcpFlagSets.get(bits);
  if (known !== undefined) return known;
  const set = Object.fromEntries(flags.filter(([, bit]) => (bits & bit) !== 0).map(([name]) => [name, true]));
  tcpFlagSets.set(bits, set);
  return set;
}

const tcpTexts = new Map<number, string>();
function tcpText(bits: number): string {
  const known = tcpTexts.get(bits);
  if (known !== undefined) return known;
  const text = `TCP Flags: ${flags
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(', ')}`;
  tcpTexts.set(bits, text);
  return text;
}

/** What people read of a packet: its TCP flags, its ICMP type and code, or just its protocol. */
export function packetSummary(packet: {
  readonly protocol: number;
  readonly tcpFlags: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly isIpv4: boolean;
}): string {
  switch (packet.protocol) {
    case ipProtocols.tcp:
      return tcpText(packet.tcpFlags);
    case ipProtocols.icmp:
      return icmpSummary({ type: packet.icmpType, code: packet.icmpCode, isIpv4: true });
    case ipProtocols.icmpv6:
      return icmpSummary({ type: packet.icmpType, code: packet.icmpCode, isIpv4: false });
    case ipProtocols.udp:
      return 'UDP';
    case ipProtocols.sctp:
      return 'SCTP';
    default:
      return packet.isIpv4 ? 'IPv4' : 'IPv6';
  }
}
