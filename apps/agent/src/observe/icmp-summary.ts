// SPDX-License-Identifier: Apache-2.0

interface IcmpKind {
  readonly name: string;
  /** By code; absent: the type has none but 0. */
  readonly codes?: readonly string[];
}

const icmpv4Kinds: Readonly<Record<number, IcmpKind>> = {
  0: { name: 'EchoReply' },
  3: {
    name: 'DestinationUnreachable',
    codes: [
      ...['Net', 'Host', 'Protocol', 'Port', 'FragmentationNeeded', 'SourceRoutingFailed', 'NetUnknown'],
      ...['HostUnknown', 'SourceIsolated', 'NetAdminProhibited', 'HostAdminProhibited', 'NetTOS', 'HostTOS'],
      ...['CommAdminProhibited', 'HostPrecedence', 'PrecedenceCutoff'],
    ],
  },
  4: { name: 'SourceQuench' },
  5: { name: 'Redirect', codes: ['Net', 'Host', 'TOS+Net', 'TOS+Host'] },
  8: { name: 'EchoRequest' },
  9: { name: 'RouterAdvertisement' },
  10: { name: 'RouterSolicitation' },
  11: { name: 'TimeExceeded', codes: ['TTLExceeded', 'FragmentReassemblyTimeExceeded'] },
  12: { name: 'ParameterProblem', codes: ['PointerIndicatesError', 'MissingOption', 'BadLength'] },
  13: { name: 'TimestampRequest' },
  14: { name: 'TimestampReply' },
  15: { name: 'InfoRequest' },
  16: { name: 'InfoReply' },
  17: { name: 'AddressMaskRequest' },
  18: { name: 'AddressMaskReply' },
};
const icmpv6Kinds: Readonly<Record<number, IcmpKind>> = {
  1: {
    name: 'DestinationUnreachable',
    codes: [
      ...['NoRouteToDst', 'AdminProhibited', 'BeyondScopeOfSrc', 'AddressUnreachable', 'PortUnreachable'],
      ...['SrcAddressFailedPolicy', 'RejectRouteToDst'],
    ],
  },
  2: { name: 'PacketTooBig' },
  3: { name: 'TimeExceeded', codes: ['HopLimitExceeded', 'FragmentReassemblyTimeExceeded'] },
  4: { name: 'ParameterProblem', codes: ['ErroneousHeaderField', 'UnrecognizedNextHeader', 'UnrecognizedIPv6Option'] },
  128: { name: 'EchoRequest' },
  129: { name: 'EchoReply' },
  133: { name: 'RouterSolicitation' },
  134: { name: 'RouterAdvertisement' },
  135: { name: 'NeighborSolicitation' },
  136: { name: 'NeighborAdvertisement' },
  137: { name: 'Redirect' },
};

/** Type and code of an ICMP message as users of Hubble read them: `ICMPv4 DestinationUnreachable(Port)`. */
export function icmpSummary(message: {
  readonly type: number;
  readonly code: number;
  readonly isIpv4: boolean;
}): string {
  const { type, code, isIpv4 } = message;
  const { name, codes } = (isIpv4 ? icmpv4Kinds : icmpv6Kinds)[type] ?? { name: '' };
  const family = isIpv4 ? 'ICMPv4' : 'ICMPv6';
  if (name === '') return `${family} ${type}(${code})`;
  if (codes === undefined && code === 0) return `${family} ${name}`;
  return `${family} ${name}(${codes?.[code] ?? `Code: ${code}`})`;
}
