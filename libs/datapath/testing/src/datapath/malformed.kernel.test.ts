// SPDX-License-Identifier: Apache-2.0
// What is not a packet, or is one that nothing good comes of.
import { describe, expect, it } from '@jest/globals';
import { ipPacket, protocol, conversation } from '../node/conversation.ts';
import { client, families, gatewayMac, host, server, world, type Family } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { packet, type PacketBuilder } from '../packet/packet-builder.ts';
import { ethernetBytes, ipProtocol } from '../packet/protocols.ts';

const link = packet().ethernet({ source: client.mac, destination: gatewayMac });
const ends = (family: Family) => ({ source: client[family], destination: server[family] });
const ports = { sourcePort: 40000, destinationPort: 53 };
const headerBytes = { ipv4: 20, ipv6: 40 };

describePackets('malformed packets', () => {
  const node = usePacketNode();
  const verdict = (frame: PacketBuilder) => node.send(client, frame).verdict;

  it.each([
    {
      title: 'an unknown protocol',
      frame: packet().ethernet({ source: client.mac, destination: gatewayMac, etherType: 0x88cc }),
    },
    { title: 'LLC', frame: packet().ethernet({ source: client.mac, destination: gatewayMac, etherType: 60 }) },
    { title: 'a VLAN tag', frame: link.vlan(7).ipv4(ends('ipv4')).udp(ports) },
    { title: 'two VLAN tags', frame: link.vlan(7).vlan(8).ipv6(ends('ipv6')).udp(ports) },
  ])('refuses $title', ({ frame }) => {
    expect(verdict(frame.payload(new Uint8Array(50)))).toBe('dropped: unsupportedL3 egress');
    expect(node.send(host, frame.payload(new Uint8Array(50))).verdict).toBe('dropped: unsupportedL3 ingress');
    expect(node.send(world, frame.payload(new Uint8Array(50))).verdict).toBe('untouched');
  });

  it.each([
    { title: 'version 5', frame: link.ipv4({ ...ends('ipv4'), version: 5 }).udp(ports) },
    { title: 'version 6 in an IPv4 frame', frame: link.ipv4({ ...ends('ipv4'), version: 6 }).udp(ports) },
    { title: 'a header of 4 words', frame: link.ipv4({ ...ends('ipv4'), headerLength: 4 }).udp(ports) },
    { title: 'version 4 in an IPv6 frame', frame: link.ipv6({ ...ends('ipv6'), version: 4 }).udp(ports) },
  ])('refuses $title', ({ frame }) => {
    expect(verdict(frame)).toBe('dropped: invalidPacket egress');
  });

  describe.each(families)('over %s', (family) => {
    const network = ipPacket(family, { from: client, to: server });
    const end = ethernetBytes + headerBytes[family];

    it.each([
      { title: 'TCP', least: 16, frame: network.tcp({ ...ports, flags: 'SYN' }) },
      { title: 'UDP', least: 4, frame: network.udp(ports) },
      { title: 'SCTP', least: 4, frame: network.sctp(ports) },
      {
        title: 'an echo request',
        least: 8,
        frame: family === 'ipv4' ? network.icmp({ type: 8 }) : network.icmpv6({ type: 128 }),
      },
    ])('refuses $title without the $least bytes that are judged', ({ frame, least }) => {
      expect(verdict(frame.truncated(end))).toBe('dropped: ctTruncated egress');
      expect(verdict(frame.truncated(end + least - 1))).toBe('dropped: ctTruncated egress');
      expect(verdict(frame.truncated(end + least))).toBe('to server');
    });

    it('judges what it does not know by its protocol number', () => {
      for (const number of [ipProtocol.gre, ipProtocol.esp, 4, 41, 59, 135, 253, 255]) {
        const talk = conversation({ family, from: client, to: server, over: protocol(number) });
        expect(node.send(client, talk.ask()).verdict).toBe('to server');
        expect(node.send(server, talk.answer()).verdict).toBe('to client');
      }
    });

    it('judges a packet that ends with its IP header by its protocol number', () => {
      const bare = ipPacket(family, { from: client, to: server, protocol: ipProtocol.gre });
      expect(verdict(bare)).toBe('to server');
    });

    it('takes no port from the other family’s ICMP', () => {
      node.setPolicy(server, { ingress: [{ protocol: family === 'ipv4' ? 58 : 1, port: 8 }] });
      const frame = ipPacket(family, { from: client, to: server });
      const foreign = family === 'ipv4' ? frame.icmpv6({ type: 8 }) : frame.icmp({ type: 8 });
      expect(verdict(foreign)).toBe('dropped: policyDenied ingress');
    });
  });

  describe('IPv4 options', () => {
    it.each([4, 8, 40])('are stepped over: %i bytes', (length) => {
      const options = new Uint8Array(length).fill(1);
      node.setPolicy(server, { ingress: [{ protocol: 17, port: 53 }] });
      const outcome = node.send(client, link.ipv4({ ...ends('ipv4'), options }).udp(ports));
      expect(outcome).toMatchObject({ verdict: 'to server', packet: { ip: { ttl: 63, checksum: 'right' } } });
      expect(node.flows()).toMatchObject([{ ports: [40000, 53] }]);
    });

    it('that are longer than the packet leave no port to judge', () => {
      const frame = link.ipv4({ ...ends('ipv4'), headerLength: 15 }).udp(ports);
      expect(verdict(frame)).toBe('dropped: ctTruncated egress');
    });
  });

  describe('IPv6 extension headers', () => {
    const network = link.ipv6(ends('ipv6'));

    it.each<{ title: string; chain: PacketBuilder }>([
      { title: 'hop-by-hop options', chain: network.hopByHop() },
      { title: 'a routing header', chain: network.routing({ length: 24 }) },
      { title: 'destination options', chain: network.destinationOptions({ length: 16 }) },
      { title: 'an authentication header', chain: network.authentication({ length: 24 }) },
      { title: 'a fragment header that cuts nothing off', chain: network.fragment({ identification: 1 }) },
      {
        title: 'all five',
        chain: network
          .hopByHop()
          .routing()
          .fragment({ identification: 1 })
          .authentication({ length: 16 })
          .destinationOptions(),
      },
      {
        title: 'six',
        chain: network
          .hopByHop()
          .destinationOptions()
          .routing()
          .fragment({ identification: 1 })
          .authentication({ length: 16 })
          .destinationOptions(),
      },
    ])('are stepped over: $title', ({ chain }) => {
      node.setPolicy(server, { ingress: [{ protocol: 17, port: 53 }] });
      expect(verdict(chain.udp(ports))).toBe('to server');
      expect(verdict(chain.udp({ ...ports, destinationPort: 54 }))).toBe('dropped: policyDenied ingress');
      expect(node.flows()).toMatchObject([{ ports: [40000, 53], protocol: 17 }]);
    });

    it('are refused when there are more than six', () => {
      let chain = network;
      for (let count = 0; count < 7; count++) chain = chain.destinationOptions();
      expect(verdict(chain.udp(ports))).toBe('dropped: invalidExtensionHeader egress');
    });

    it('are refused when they are cut short', () => {
      const frame = network
        .hopByHop()
        .udp(ports)
        .truncated(14 + 40 + 7);
      expect(verdict(frame)).toBe('dropped: invalidExtensionHeader egress');
    });

    it('that are longer than the packet leave no port to judge', () => {
      const frame = network.hopByHop({ nextHeader: 17, length: 8 }).udp(ports).bytes();
      frame[14 + 40 + 1] = 255;
      expect(node.send(client, frame).verdict).toBe('dropped: ctTruncated egress');
    });
  });

  it.each([
    { title: 'as source', source: '::ffff:10.1.0.11', destination: server.ipv6 },
    { title: 'as destination', source: client.ipv6, destination: '::ffff:10.1.0.12' },
  ])('refuses an IPv4 address in an IPv6 header $title', ({ source, destination }) => {
    const frame = link.ipv6({ source, destination }).udp(ports);
    expect(verdict(frame)).toBe('dropped: invalidPacket egress');
    expect(node.send(host, frame).verdict).toBe('dropped: invalidPacket ingress');
    expect(node.send(world, frame).verdict).toBe('dropped: invalidPacket ingress');
    expect(node.flows()).toEqual([]);
  });

  it('leaves malformed packets from outside to the stack, unless they are for a pod', () => {
    const bad = (destination: string) => link.ipv4({ source: world.ipv4, destination }).udp(ports).truncated(36);
    expect(node.send(world, bad(host.ipv4)).verdict).toBe('untouched');
    expect(node.send(world, bad(server.ipv4)).verdict).toBe('dropped: ctTruncated ingress');
  });
});
