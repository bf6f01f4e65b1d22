// SPDX-License-Identifier: Apache-2.0
import { packet, type PacketBuilder } from '../packet/packet-builder.ts';
import { icmpType, icmpv6Type } from '../packet/protocols.ts';
import { gatewayMac, routerMac, uplinkMac, type Family, type Party, type Pod } from './scene.ts';

/** What two ends talk over. An echo's identifier is that of the end that asks. */
export type Transport =
  | { readonly kind: 'tcp' | 'udp' | 'sctp'; readonly from: number; readonly to: number }
  | { readonly kind: 'echo'; readonly identifier: number }
  | { readonly kind: 'protocol'; readonly number: number };

/** The ends of an IP packet, and what is unusual about it. */
export interface HeaderFields {
  readonly from: Party;
  readonly to: Party;
  readonly ttl?: number;
  /** Instead of the number of what follows. */
  readonly protocol?: number;
  /** Of IPv4: it may not be cut up. */
  readonly dontFragment?: boolean;
}

const isPod = (party: Party): party is Pod => party.place === 'pod';

/** A packet up to its IP header, as it is on the wire at the hook that sees what `from` sends. */
export function ipPacket(
  family: Family,
  { from, to, ttl = 64, protocol: number, dontFragment = false }: HeaderFields,
): PacketBuilder {
  const isOutside = from.place === 'network';
  const link = packet().ethernet({
    source: isPod(from) ? from.mac : isOutside ? routerMac : gatewayMac,
    destination: isOutside ? uplinkMac : gatewayMac,
  });
  const ends = { source: from[family], destination: to[family] };
  return family === 'ipv4'
    ? link.ipv4({ ...ends, ttl, dontFragment, ...(number === undefined ? {} : { protocol: number }) })
    : link.ipv6({ ...ends, hopLimit: ttl, ...(number === undefined ? {} : { nextHeader: number }) });
}

/** Packets of one flow, in both directions. */
export interface Conversation {
  readonly from: Party;
  readonly to: Party;
  /** From the end that begins; `flags` are those of TCP, "ACK" unless told. */
  ask(flags?: string, fields?: { readonly ttl?: number }): PacketBuilder;
  /** From the other end. */
  answer(flags?: string, fields?: { readonly ttl?: number }): PacketBuilder;
}

interface Side {
  readonly family: Family;
  readonly transport: Transport;
  readonly isAnswer: boolean;
}

function transportOn(network: PacketBuilder, { family, transport, isAnswer }: Side, flags: string): PacketBuilder {
  switch (transport.kind) {
    case 'echo': {
      const type = family === 'ipv4' ? icmpType : icmpv6Type;
      const message = { type: isAnswer ? type.echoReply : type.echoRequest, identifier: transport.identifier };
      return family === 'ipv4' ? network.icmp(message) : network.icmpv6(message);
    }
    case 'protocol':
      return network.payload('opaque');
    default: {
      const [sourcePort, destinationPort] = isAnswer ? [transport.to, transport.from] : [transport.from, transport.to];
      const ports = { sourcePort, destinationPort };
      return transport.kind === 'tcp' ? network.tcp({ ...ports, flags }) : network[transport.kind](ports);
    }
  }
}

/** A flow between two parties; nothing is sent. */
export function conversation(options: {
  readonly family: Family;
  readonly from: Party;
  readonly to: Party;
  readonly over: Transport;
}): Conversation {
  const { family, from, to, over: transport } = options;
  const number = transport.kind === 'protocol' ? { protocol: transport.number } : {};
  const build = (ends: HeaderFields, isAnswer: boolean, flags: string): PacketBuilder =>
    transportOn(ipPacket(family, { ...ends, ...number }), { family, transport, isAnswer }, flags);
  return {
    from,
    to,
    ask: (flags = 'ACK', fields = {}) => build({ from, to, ...fields }, false, flags),
    answer: (flags = 'ACK', fields = {}) => build({ from: to, to: from, ...fields }, true, flags),
  };
}

const port =
  (kind: 'tcp' | 'udp' | 'sctp') =>
  (from: number, to: number): Transport => ({ kind, from, to });

export const tcp = port('tcp');
export const udp = port('udp');
export const sctp = port('sctp');
export const echo = (identifier: number): Transport => ({ kind: 'echo', identifier });
export const protocol = (number: number): Transport => ({ kind: 'protocol', number });
