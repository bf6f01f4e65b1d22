// SPDX-License-Identifier: Apache-2.0
import { formatIpAddress, ipAddressFromBytes } from '@weir/model';
import { internetChecksum, transportChecksum, type PseudoHeader } from './internet-checksum.ts';
import { ethernetBytes, etherType, icmpv6Type, ipProtocol, tcpFlags } from './protocols.ts';

/** Whether the bytes agree with their checksum; "cut" when not all of them are there. */
export type ChecksumState = 'right' | 'wrong' | 'cut';

/** An IP header and what is between it and the transport. */
export interface ParsedIp {
  readonly version: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  /** The last protocol number of the header chain. */
  readonly protocol: number;
  /** IPv6 extension headers in their order. */
  readonly extensions: readonly number[];
  readonly fragment?: { readonly identification: number; readonly offset: number; readonly more: boolean };
  /** Of the IPv4 header; IPv6 has none. */
  readonly checksum?: ChecksumState;
}

/** A frame for assertions. Parts that it does not have are absent. */
export interface ParsedPacket {
  readonly ethernet: { readonly source: string; readonly destination: string; readonly etherType: number };
  readonly arp?: {
    readonly operation: 'request' | 'reply' | number;
    readonly senderMac: string;
    readonly senderIp: string;
    readonly targetMac: string;
    readonly targetIp: string;
  };
  readonly ip?: ParsedIp;
  readonly ports?: { readonly source: number; readonly destination: number };
  readonly tcp?: { readonly flags: string; readonly checksum: ChecksumState };
  readonly udp?: { readonly checksum: ChecksumState };
  readonly icmp?: {
    readonly type: number;
    readonly code: number;
    readonly identifier: number;
    readonly sequence: number;
    readonly checksum: ChecksumState;
  };
  readonly neighbour?: {
    readonly target: string;
    readonly router: boolean;
    readonly solicited: boolean;
    readonly override: boolean;
    /** MAC addresses by option type: 1 is the source's, 2 the target's. */
    readonly linkAddresses: Readonly<Record<number, string>>;
  };
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const macText = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
const addressText = (bytes: Uint8Array): string => formatIpAddress(ipAddressFromBytes(bytes));

const extensionProtocols: readonly number[] = [
  ipProtocol.hopByHop,
  ipProtocol.routing,
  ipProtocol.destinationOptions,
  ipProtocol.authentication,
  ipProtocol.fragment,
];

interface Network {
  readonly ip: ParsedIp;
  readonly addresses: PseudoHeader;
  /** What the IP header says it carries, as far as it is there. */
  readonly payload: Uint8Array;
  readonly complete: boolean;
}

function parseIpv4(bytes: Uint8Array): Network {
  const view = viewOf(bytes);
  const headerBytes = (view.getUint8(0) & 0xf) * 4;
  const totalBytes = view.getUint16(2);
  const fragment = view.getUint16(6);
  const addresses = { source: bytes.slice(12, 16), destination: bytes.slice(16, 20) };
  const isFragment = (fragment & 0x3fff) !== 0;
  return {
    addresses,
    payload: bytes.subarray(headerBytes, totalBytes),
    complete: totalBytes <= bytes.length && !isFragment,
    ip: {
      version: 4,
      source: addressText(addresses.source),
      destination: addressText(addresses.destination),
      ttl: view.getUint8(8),
      protocol: view.getUint8(9),
      extensions: [],
      checksum: internetChecksum(bytes.subarray(0, headerBytes)) === 0 ? 'right' : 'wrong',
      ...(isFragment
        ? {
            fragment: {
              identification: view.getUint16(4),
              offset: (fragment & 0x1fff) * 8,
              more: (fragment & 0x2000) !== 0,
            },
          }
        : {}),
    },
  };
}

function parseIpv6(bytes: Uint8Array): Network {
  const view = viewOf(bytes);
  const end = 40 + view.getUint16(4);
  const addresses = { source: bytes.slice(8, 24), destination: bytes.slice(24, 40) };
  const extensions: number[] = [];
  let protocol = view.getUint8(6);
  let offset = 40;
  let fragment: ParsedIp['fragment'];
  while (extensionProtocols.includes(protocol) && offset + 8 <= bytes.length && (fragment?.offset ?? 0) === 0) {
    extensions.push(protocol);
    const length = view.getUint8(offset + 1);
    if (protocol === ipProtocol.fragment) {
      const place = view.getUint16(offset + 2);
      fragment = {
        identification: view.getUint32(offset + 4),
        offset: place & 0xfff8,
        more: (place & 1) !== 0,
      };
    }
    const next = view.getUint8(offset);
    offset +=
      protocol === ipProtocol.fragment
        ? 8
        : protocol === ipProtocol.authentication
          ? (length + 2) * 4
          : (length + 1) * 8;
    protocol = next;
  }
  return {
    addresses,
    payload: bytes.subarray(offset, end),
    complete: end <= bytes.length && fragment === undefined,
    ip: {
      version: 6,
      source: addressText(addresses.source),
      destination: addressText(addresses.destination),
      ttl: view.getUint8(7),
      protocol,
      extensions,
      ...(fragment === undefined ? {} : { fragment }),
    },
  };
}

function checksumState({ addresses, payload, complete, ip }: Network): ChecksumState {
  if (!complete) return 'cut';
  const own = ip.protocol === ipProtocol.icmp ? internetChecksum(payload) : undefined;
  return (own ?? transportChecksum(addresses, ip.protocol, payload)) === 0 ? 'right' : 'wrong';
}

function flagNames(bits: number): string {
  return Object.entries(tcpFlags)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(' ');
}

function parseNeighbour(payload: Uint8Array): NonNullable<ParsedPacket['neighbour']> {
  const flags = payload[4] ?? 0;
  const linkAddresses: Record<number, string> = {};
  for (let at = 24; at + 8 <= payload.length; at += (payload[at + 1] || 1) * 8) {
    linkAddresses[payload[at] ?? 0] = macText(payload.subarray(at + 2, at + 8));
  }
  return {
    target: addressText(payload.slice(8, 24)),
    router: (flags & 0x80) !== 0,
    solicited: (flags & 0x40) !== 0,
    override: (flags & 0x20) !== 0,
    linkAddresses,
  };
}

function parseIcmp(network: Network): Partial<ParsedPacket> {
  const { payload, ip } = network;
  if (payload.length < 8) return {};
  const view = viewOf(payload);
  const type = view.getUint8(0);
  const isNeighbour =
    ip.protocol === ipProtocol.icmpv6 &&
    (type === icmpv6Type.neighbourSolicitation || type === icmpv6Type.neighbourAdvertisement);
  return {
    icmp: {
      type,
      code: view.getUint8(1),
      identifier: view.getUint16(4),
      sequence: view.getUint16(6),
      checksum: checksumState(network),
    },
    ...(isNeighbour && payload.length >= 24 ? { neighbour: parseNeighbour(payload) } : {}),
  };
}

function parseTransport(network: Network): Partial<ParsedPacket> {
  const { payload, ip } = network;
  if ((ip.fragment?.offset ?? 0) > 0) return {};
  if (ip.protocol === ipProtocol.icmp || ip.protocol === ipProtocol.icmpv6) return parseIcmp(network);
  const hasPorts = [ipProtocol.tcp, ipProtocol.udp, ipProtocol.sctp].some((protocol) => protocol === ip.protocol);
  if (!hasPorts || payload.length < 4) return {};
  const view = viewOf(payload);
  const ports = { source: view.getUint16(0), destination: view.getUint16(2) };
  if (ip.protocol === ipProtocol.tcp && payload.length >= 14) {
    return { ports, tcp: { flags: flagNames(view.getUint8(13)), checksum: checksumState(network) } };
  }
  return ip.protocol === ipProtocol.udp ? { ports, udp: { checksum: checksumState(network) } } : { ports };
}

function parseArp(bytes: Uint8Array): NonNullable<ParsedPacket['arp']> {
  const operation = viewOf(bytes).getUint16(6);
  return {
    operation: operation === 1 ? 'request' : operation === 2 ? 'reply' : operation,
    senderMac: macText(bytes.subarray(8, 14)),
    senderIp: addressText(bytes.slice(14, 18)),
    targetMac: macText(bytes.subarray(18, 24)),
    targetIp: addressText(bytes.slice(24, 28)),
  };
}

/** Takes a frame apart as far as it goes; a header that is cut short is left out. */
export function parsePacket(frame: Uint8Array): ParsedPacket {
  const type = viewOf(frame).getUint16(12);
  const ethernet = { destination: macText(frame.slice(0, 6)), source: macText(frame.slice(6, 12)), etherType: type };
  const body = frame.subarray(ethernetBytes);
  if (type === etherType.arp && body.length >= 28) return { ethernet, arp: parseArp(body) };
  const network =
    type === etherType.ipv4 && body.length >= 20
      ? parseIpv4(body)
      : type === etherType.ipv6 && body.length >= 40
        ? parseIpv6(body)
        : undefined;
  return network === undefined ? { ethernet } : { ethernet, ip: network.ip, ...parseTransport(network) };
}
