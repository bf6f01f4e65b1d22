// SPDX-License-Identifier: Apache-2.0

/** Which ICMP a type belongs to. */
export type IcmpFamily = 'IPv4' | 'IPv6';

const types: Readonly<Record<IcmpFamily, Readonly<Record<string, number>>>> = {
  IPv4: {
    EchoReply: 0,
    DestinationUnreachable: 3,
    Redirect: 5,
    Echo: 8,
    EchoRequest: 8,
    RouterAdvertisement: 9,
    RouterSelection: 10,
    TimeExceeded: 11,
    ParameterProblem: 12,
    Timestamp: 13,
    TimestampReply: 14,
    Photuris: 40,
    ExtendedEchoRequest: 42,
    ExtendedEchoReply: 43,
  },
  IPv6: {
    DestinationUnreachable: 1,
    PacketTooBig: 2,
    TimeExceeded: 3,
    ParameterProblem: 4,
    EchoRequest: 128,
    EchoReply: 129,
    MulticastListenerQuery: 130,
    MulticastListenerReport: 131,
    MulticastListenerDone: 132,
    RouterSolicitation: 133,
    RouterAdvertisement: 134,
    NeighborSolicitation: 135,
    NeighborAdvertisement: 136,
    RedirectMessage: 137,
    RouterRenumbering: 138,
    ICMPNodeInformationQuery: 139,
    ICMPNodeInformationResponse: 140,
    InverseNeighborDiscoverySolicitation: 141,
    InverseNeighborDiscoveryAdvertisement: 142,
    HomeAgentAddressDiscoveryRequest: 144,
    HomeAgentAddressDiscoveryReply: 145,
    MobilePrefixSolicitation: 146,
    MobilePrefixAdvertisement: 147,
    DuplicateAddressRequestCodeSuffix: 157,
    DuplicateAddressConfirmationCodeSuffix: 158,
    ExtendedEchoRequest: 160,
    ExtendedEchoReply: 161,
  },
};

/** The number of a type, given as a number 0–255 or by its name in the IANA registry; undefined when there is no such. */
export function icmpTypeOf(family: IcmpFamily, text: string): number | undefined {
  if (/^(0|[1-9]\d{0,2})$/.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  return Object.hasOwn(types[family], text) ? types[family][text] : undefined;
}

/** What stands in for the port of an ICMP message, in policy maps and flows: type 0 must not look like "any port". */
export function icmpPort(type: number): number {
  return 256 + type;
}
