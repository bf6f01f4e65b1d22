// SPDX-License-Identifier: Apache-2.0
import {
  arpLayer,
  concatenate,
  ethernetLayer,
  extensionLayer,
  fragmentLayer,
  icmpLayer,
  ipv4Layer,
  ipv6Layer,
  linkAddressOption,
  neighbourBody,
  sctpLayer,
  tcpLayer,
  udpLayer,
  vlanLayer,
  type ArpFields,
  type Carried,
  type EthernetFields,
  type ExtensionFields,
  type FragmentFields,
  type IcmpFields,
  type Ipv4Fields,
  type Ipv6Fields,
  type Layer,
  type PortFields,
  type TcpFields,
} from './layers.ts';
import { ethernetBytes, icmpv6Type, ipProtocol } from './protocols.ts';

/**
 * Builds a packet from the outside in; each step gives a new builder, so that packets can share their beginning. What is
 * not said is right: lengths, next-header numbers, checksums.
 */
export interface PacketBuilder {
  ethernet(fields: EthernetFields): PacketBuilder;
  vlan(id: number): PacketBuilder;
  arp(fields: ArpFields): PacketBuilder;
  ipv4(fields: Ipv4Fields): PacketBuilder;
  ipv6(fields: Ipv6Fields): PacketBuilder;
  hopByHop(fields?: ExtensionFields): PacketBuilder;
  routing(fields?: ExtensionFields): PacketBuilder;
  destinationOptions(fields?: ExtensionFields): PacketBuilder;
  authentication(fields?: ExtensionFields): PacketBuilder;
  fragment(fields: FragmentFields): PacketBuilder;
  tcp(fields: TcpFields): PacketBuilder;
  udp(fields: PortFields): PacketBuilder;
  sctp(fields: PortFields): PacketBuilder;
  icmp(fields: IcmpFields): PacketBuilder;
  icmpv6(fields: IcmpFields): PacketBuilder;
  /** ICMPv6 neighbour solicitation; `sourceMac` makes it carry the option that says who asks. */
  neighbourSolicitation(fields: { readonly target: string; readonly sourceMac?: string }): PacketBuilder;
  neighbourAdvertisement(fields: { readonly target: string; readonly targetMac: string }): PacketBuilder;
  /** What an ICMP error quotes: a whole frame without its Ethernet header, at most `length` bytes of it. */
  quoting(frame: Uint8Array, length?: number): PacketBuilder;
  payload(content: Uint8Array | string): PacketBuilder;
  /** Cuts the end off, as a link that loses it would: lengths in the headers stay what they were. */
  truncated(length: number): PacketBuilder;
  /** The whole frame. */
  bytes(): Uint8Array<ArrayBuffer>;
}

const payloadLayer = (content: Uint8Array): Layer => ({
  encode: (carried) => ({ bytes: concatenate(content, carried.bytes) }),
});

function encodeAll(layers: readonly Layer[]): Uint8Array<ArrayBuffer> {
  let carried: Carried = { bytes: new Uint8Array() };
  for (let index = layers.length - 1; index >= 0; index--) {
    const network = layers.slice(0, index).findLast((layer) => layer.addresses !== undefined)?.addresses;
    carried = layers[index]?.encode(carried, network) ?? carried;
  }
  return Uint8Array.from(carried.bytes);
}

function builderOf(layers: readonly Layer[], cut?: number): PacketBuilder {
  const and = (layer: Layer): PacketBuilder => builderOf([...layers, layer], cut);
  const neighbour = (type: number, body: Uint8Array): PacketBuilder =>
    and(icmpLayer(ipProtocol.icmpv6, { type })).payload(body);
  return {
    ethernet: (fields) => and(ethernetLayer(fields)),
    vlan: (id) => and(vlanLayer(id)),
    arp: (fields) => and(arpLayer(fields)),
    ipv4: (fields) => and(ipv4Layer(fields)),
    ipv6: (fields) => and(ipv6Layer(fields)),
    hopByHop: (fields) => and(extensionLayer(ipProtocol.hopByHop, fields)),
    routing: (fields) => and(extensionLayer(ipProtocol.routing, fields)),
    destinationOptions: (fields) => and(extensionLayer(ipProtocol.destinationOptions, fields)),
    authentication: (fields) => and(extensionLayer(ipProtocol.authentication, fields)),
    fragment: (fields) => and(fragmentLayer(fields)),
    tcp: (fields) => and(tcpLayer(fields)),
    udp: (fields) => and(udpLayer(fields)),
    sctp: (fields) => and(sctpLayer(fields)),
    icmp: (fields) => and(icmpLayer(ipProtocol.icmp, fields)),
    icmpv6: (fields) => and(icmpLayer(ipProtocol.icmpv6, fields)),
    neighbourSolicitation: ({ target, sourceMac }) =>
      neighbour(
        icmpv6Type.neighbourSolicitation,
        neighbourBody(target, sourceMac === undefined ? undefined : linkAddressOption(1, sourceMac)),
      ),
    neighbourAdvertisement: ({ target, targetMac }) =>
      neighbour(icmpv6Type.neighbourAdvertisement, neighbourBody(target, linkAddressOption(2, targetMac))),
    quoting: (frame, length = frame.length) =>
      and(payloadLayer(frame.slice(ethernetBytes, Math.min(frame.length, ethernetBytes + length)))),
    payload: (content) => and(payloadLayer(typeof content === 'string' ? Buffer.from(content) : content)),
    truncated: (length) => builderOf(layers, length),
    bytes: () => encodeAll(layers).slice(0, cut),
  };
}

/** Begins a packet. */
export function packet(): PacketBuilder {
  return builderOf([]);
}
