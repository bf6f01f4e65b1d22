// SPDX-License-Identifier: Apache-2.0
// Numbers that the builder and the parser share.

/** What an Ethernet frame carries. */
export const etherType = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;

/** IANA protocol numbers, IPv6 extension headers included. */
export const ipProtocol = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  gre: 47,
  esp: 50,
  authentication: 51,
  icmpv6: 58,
  destinationOptions: 60,
  sctp: 132,
  experimental: 253,
} as const;

/** Types of ICMP messages (RFC 792). */
export const icmpType = {
  echoReply: 0,
  unreachable: 3,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
  timestamp: 13,
} as const;

/** Types of ICMPv6 messages (RFC 4443, RFC 4861, RFC 2710, RFC 3810). */
export const icmpv6Type = {
  unreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  listenerQuery: 130,
  listenerReport: 131,
  listenerDone: 132,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
  listenerReportV2: 143,
} as const;

/** TCP flags in the order in which people write them. */
export const tcpFlags = { SYN: 0x02, FIN: 0x01, RST: 0x04, PSH: 0x08, ACK: 0x10, URG: 0x20 } as const;

/** The length of an Ethernet header. */
export const ethernetBytes = 14;
