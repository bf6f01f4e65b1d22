// SPDX-License-Identifier: Apache-2.0
import type { flow } from '@weir/proto';

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

const icmpv4Names: Readonly<Record<number, string>> = {
  0: 'EchoReply',
  3: 'DestinationUnreachable',
  4: 'SourceQuench',
  5: 'Redirect',
  8: 'EchoRequest',
  9: 'RouterAdvertisement',
  10: 'RouterSolicitation',
  11: 'TimeExceeded',
  12: 'ParameterProblem',
  13: 'TimestampRequest',
  14: 'TimestampReply',
  17: 'AddressMaskRequest',
  18: 'AddressMaskReply',
};
const icmpv6Names: Readonly<Record<number, string>> = {
  1: 'DestinationUnreachable',
  2: 'PacketTooBig',
  3: 'TimeExceeded',
  4: 'ParameterProblem',
  128: 'EchoRequest',
  129: 'EchoReply',
  133: 'RouterSolicitation',
  134: 'RouterAdvertisement',
  135: 'NeighborSolicitation',
  136: 'NeighborAdvertisement',
};

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

const icmpText = (names: Readonly<Record<number, string>>, type: number): string => names[type] ?? `Type(${type})`;

/** What people read of a packet: its TCP flags, its ICMP type, or just its protocol. */
export function packetSummary(packet: {
  readonly protocol: number;
  readonly tcpFlags: number;
  readonly icmpType: number;
  readonly isIpv4: boolean;
}): string {
  switch (packet.protocol) {
    case ipProtocols.tcp:
      return tcpText(packet.tcpFlags);
    case ipProtocols.icmp:
      return `ICMPv4 ${icmpText(icmpv4Names, packet.icmpType)}`;
    case ipProtocols.icmpv6:
      return `ICMPv6 ${icmpText(icmpv6Names, packet.icmpType)}`;
    case ipProtocols.udp:
      return 'UDP';
    case ipProtocols.sctp:
      return 'SCTP';
    default:
      return packet.isIpv4 ? 'IPv4' : 'IPv6';
  }
}
