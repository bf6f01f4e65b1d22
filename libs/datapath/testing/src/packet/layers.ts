// SPDX-License-Identifier: Apache-2.0
// One function for each header: fields → bytes in front of what the header carries. Lengths, next-header numbers and
// checksums are right unless a field says otherwise, so that a fault in a packet is always one that a test asked for.
import { WeirError } from '@weir/errors';
import { ipAddressWireBytes, parseIpAddress } from '@weir/model';
import { internetChecksum, transportChecksum, type PseudoHeader } from './internet-checksum.ts';
import { etherType, ipProtocol, tcpFlags } from './protocols.ts';

/** What a layer puts its header in front of. */
export interface Carried {
  readonly bytes: Uint8Array;
  /** Its number in the field that says what comes next: an EtherType or a protocol, whichever the layer above has. */
  readonly etherType?: number;
  readonly protocol?: number;
}

/** One header. `network` has the addresses of the IP header around it. */
export interface Layer {
  readonly addresses?: PseudoHeader;
  encode(carried: Carried, network: PseudoHeader | undefined): Carried;
}

export interface EthernetFields {
  readonly source: string;
  readonly destination: string;
  readonly etherType?: number;
}
export interface ArpFields {
  readonly operation: 'request' | 'reply' | number;
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetMac?: string;
  readonly targetIp: string;
  readonly hardware?: number;
  readonly protocol?: number;
  readonly hardwareLength?: number;
  readonly protocolLength?: number;
}
export interface Ipv4Fields {
  readonly source: string;
  readonly destination: string;
  readonly ttl?: number;
  readonly protocol?: number;
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  /** A multiple of 4 bytes. */
  readonly options?: Uint8Array;
  readonly version?: number;
  /** In 32-bit words. */
  readonly headerLength?: number;
  readonly totalLength?: number;
  readonly checksum?: number;
}
export interface Ipv6Fields {
  readonly source: string;
  readonly destination: string;
  readonly hopLimit?: number;
  readonly flowLabel?: number;
  readonly nextHeader?: number;
  readonly version?: number;
  readonly payloadLength?: number;
}
export interface ExtensionFields {
  readonly nextHeader?: number;
  /** A multiple of 8 bytes, 8 unless told. */
  readonly length?: number;
}
export interface FragmentFields {
  readonly identification: number;
  /** In bytes, a multiple of 8. */
  readonly offset?: number;
  readonly more?: boolean;
  readonly nextHeader?: number;
}
export interface PortFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
}
export interface TcpFields extends PortFields {
  /** Names with a space between them, such as "SYN ACK". */
  readonly flags: string;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly checksum?: number;
}
export interface IcmpFields {
  readonly type: number;
  readonly code?: number;
  readonly identifier?: number;
  readonly sequence?: number;
  readonly checksum?: number;
}

const bytesOf = (length: number, fill: (view: DataView) => void): Uint8Array => {
  const bytes = new Uint8Array(length);
  fill(new DataView(bytes.buffer));
  return bytes;
};

/** Bytes one part after the other. */
export function concatenate(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The six bytes of `02:00:00:00:00:11`. */
export function macBytes(text: string): Uint8Array {
  const octets = text.split(':').map((octet) => Number.parseInt(octet, 16));
  if (octets.length === 6 && octets.every((octet) => octet >= 0 && octet <= 255)) return Uint8Array.from(octets);
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a MAC address, e.g. "02:00:00:00:00:11"`);
}

/** 4 or 16 bytes, as they are on the wire. IPv4 in IPv6 form stays in that form when `length` is 16. */
function addressBytes(text: string, length: 4 | 16): Uint8Array {
  const address = parseIpAddress(text);
  const bytes = length === 16 ? address : ipAddressWireBytes(address);
  if (bytes.length === length) return bytes;
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not an address of ${length} bytes`);
}

function flagBits(text: string): number {
  let bits = 0;
  for (const name of text.split(' ')) {
    const bit = tcpFlags[name as keyof typeof tcpFlags];
    if (bit === undefined) {
      throw new WeirError(
        'INVALID_ARGUMENT',
        `"${name}" is not a TCP flag, expected ${Object.keys(tcpFlags).join(', ')}`,
      );
    }
    bits |= bit;
  }
  return bits;
}

export const ethernetLayer = ({ source, destination, etherType: type }: EthernetFields): Layer => ({
  encode: (carried) => {
    const number = type ?? carried.etherType ?? etherType.ipv4;
    const kind = bytesOf(2, (view) => view.setUint16(0, number));
    return { bytes: concatenate(macBytes(destination), macBytes(source), kind, carried.bytes) };
  },
});

/** A tag in the frame, as a device without VLAN offload hands it over. */
export const vlanLayer = (id: number): Layer => ({
  encode: (carried) => {
    const tag = bytesOf(4, (view) => {
      view.setUint16(0, id);
      view.setUint16(2, carried.etherType ?? etherType.ipv4);
    });
    return { bytes: concatenate(tag, carried.bytes), etherType: etherType.vlan };
  },
});

export const arpLayer = (fields: ArpFields): Layer => ({
  encode: (carried) => {
    const { operation, hardware = 1, protocol = etherType.ipv4, hardwareLength = 6, protocolLength = 4 } = fields;
    const head = bytesOf(8, (view) => {
      view.setUint16(0, hardware);
      view.setUint16(2, protocol);
      view.setUint8(4, hardwareLength);
      view.setUint8(5, protocolLength);
      view.setUint16(6, typeof operation === 'number' ? operation : operation === 'request' ? 1 : 2);
    });
    const sender = [macBytes(fields.senderMac), addressBytes(fields.senderIp, 4)];
    const target = [macBytes(fields.targetMac ?? '00:00:00:00:00:00'), addressBytes(fields.targetIp, 4)];
    return { bytes: concatenate(head, ...sender, ...target, carried.bytes), etherType: etherType.arp };
  },
});

export const ipv4Layer = (fields: Ipv4Fields): Layer => {
  const addresses = { source: addressBytes(fields.source, 4), destination: addressBytes(fields.destination, 4) };
  return {
    addresses,
    encode(carried) {
      const options = fields.options ?? new Uint8Array();
      const words = fields.headerLength ?? 5 + options.length / 4;
      const fragment =
        (fields.dontFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0) | ((fields.fragmentOffset ?? 0) / 8);
      const fixed = bytesOf(20, (view) => {
        view.setUint8(0, ((fields.version ?? 4) << 4) | words);
        view.setUint16(2, fields.totalLength ?? 20 + options.length + carried.bytes.length);
        view.setUint16(4, fields.identification ?? 0);
        view.setUint16(6, fragment);
        view.setUint8(8, fields.ttl ?? 64);
        view.setUint8(9, fields.protocol ?? carried.protocol ?? ipProtocol.experimental);
      });
      fixed.set(addresses.source, 12);
      fixed.set(addresses.destination, 16);
      new DataView(fixed.buffer).setUint16(10, fields.checksum ?? internetChecksum(fixed, options));
      return {
        bytes: concatenate(fixed, options, carried.bytes),
        etherType: etherType.ipv4,
        protocol: ipProtocol.ipv4,
      };
    },
  };
};

export const ipv6Layer = (fields: Ipv6Fields): Layer => {
  const addresses = { source: addressBytes(fields.source, 16), destination: addressBytes(fields.destination, 16) };
  return {
    addresses,
    encode(carried) {
      const fixed = bytesOf(8, (view) => {
        view.setUint32(0, (fields.version ?? 6) * 0x10000000 + (fields.flowLabel ?? 0));
        view.setUint16(4, fields.payloadLength ?? carried.bytes.length);
        view.setUint8(6, fields.nextHeader ?? carried.protocol ?? ipProtocol.experimental);
        view.setUint8(7, fields.hopLimit ?? 64);
      });
      return {
        bytes: concatenate(fixed, addresses.source, addresses.destination, carried.bytes),
        etherType: etherType.ipv6,
        protocol: ipProtocol.ipv6,
      };
    },
  };
};

/** An extension header of the common form (RFC 8200 4.2), filled with padding. */
export const extensionLayer = (protocol: number, { nextHeader, length = 8 }: ExtensionFields = {}): Layer => ({
  encode: (carried) => {
    const header = bytesOf(length, (view) => {
      view.setUint8(0, nextHeader ?? carried.protocol ?? ipProtocol.experimental);
      // An authentication header counts in 4 bytes (RFC 4302 2.2).
      view.setUint8(1, protocol === ipProtocol.authentication ? length / 4 - 2 : length / 8 - 1);
    });
    return { bytes: concatenate(header, carried.bytes), protocol };
  },
});

export const fragmentLayer = ({ identification, offset = 0, more = false, nextHeader }: FragmentFields): Layer => ({
  encode: (carried) => {
    const header = bytesOf(8, (view) => {
      view.setUint8(0, nextHeader ?? carried.protocol ?? ipProtocol.experimental);
      view.setUint16(2, offset | (more ? 1 : 0));
      view.setUint32(4, identification);
    });
    return { bytes: concatenate(header, carried.bytes), protocol: ipProtocol.fragment };
  },
});

/** Puts the checksum of a message into its field, unless a test wants another one there. */
const sealed = (message: Uint8Array, at: number, checksum: number): Uint8Array => {
  new DataView(message.buffer).setUint16(at, checksum);
  return message;
};

const overNetwork = (network: PseudoHeader | undefined, protocol: number, message: Uint8Array): number =>
  network === undefined ? 0 : transportChecksum(network, protocol, message);

export const tcpLayer = (fields: TcpFields): Layer => ({
  encode: (carried, network) => {
    const header = bytesOf(20, (view) => {
      view.setUint16(0, fields.sourcePort);
      view.setUint16(2, fields.destinationPort);
      view.setUint32(4, fields.sequence ?? 1000);
      view.setUint32(8, fields.acknowledgement ?? 0);
      view.setUint8(12, 5 << 4);
      view.setUint8(13, flagBits(fields.flags));
      view.setUint16(14, 65535);
    });
    const message = concatenate(header, carried.bytes);
    const checksum = fields.checksum ?? overNetwork(network, ipProtocol.tcp, message);
    return { bytes: sealed(message, 16, checksum), protocol: ipProtocol.tcp };
  },
});

export const udpLayer = ({ sourcePort, destinationPort }: PortFields): Layer => ({
  encode: (carried, network) => {
    const header = bytesOf(8, (view) => {
      view.setUint16(0, sourcePort);
      view.setUint16(2, destinationPort);
      view.setUint16(4, 8 + carried.bytes.length);
    });
    const message = concatenate(header, carried.bytes);
    // Zero would mean that there is none (RFC 768).
    const checksum = overNetwork(network, ipProtocol.udp, message) || 0xffff;
    return { bytes: sealed(message, 6, checksum), protocol: ipProtocol.udp };
  },
});

/** The common header of RFC 9260 3.1; its CRC is left zero, which nothing on the way looks at. */
export const sctpLayer = ({ sourcePort, destinationPort }: PortFields): Layer => ({
  encode: (carried) => {
    const header = bytesOf(12, (view) => {
      view.setUint16(0, sourcePort);
      view.setUint16(2, destinationPort);
    });
    return { bytes: concatenate(header, carried.bytes), protocol: ipProtocol.sctp };
  },
});

export const icmpLayer = (protocol: typeof ipProtocol.icmp | typeof ipProtocol.icmpv6, fields: IcmpFields): Layer => ({
  encode: (carried, network) => {
    const header = bytesOf(8, (view) => {
      view.setUint8(0, fields.type);
      view.setUint8(1, fields.code ?? 0);
      view.setUint16(4, fields.identifier ?? 0);
      view.setUint16(6, fields.sequence ?? 0);
    });
    const message = concatenate(header, carried.bytes);
    const own = protocol === ipProtocol.icmp ? internetChecksum(message) : overNetwork(network, protocol, message);
    return { bytes: sealed(message, 2, fields.checksum ?? own), protocol };
  },
});

/** A link-layer address option of neighbour discovery (RFC 4861 4.6.1): 1 is the source's, 2 the target's. */
export function linkAddressOption(type: 1 | 2, mac: string): Uint8Array {
  return concatenate(Uint8Array.of(type, 1), macBytes(mac));
}

/** The body of a neighbour message behind its first 8 bytes. */
export function neighbourBody(target: string, options: Uint8Array = new Uint8Array()): Uint8Array {
  return concatenate(addressBytes(target, 16), options);
}
