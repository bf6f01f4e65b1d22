// SPDX-License-Identifier: Apache-2.0
// A pod has one neighbour, the gateway, which answers for every address but the pod's own. Nothing of ARP and neighbour
// discovery leaves the pod's link.
import { describe, expect, it } from '@jest/globals';
import { client, gatewayMac, other, server, world } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { packet, type PacketBuilder } from '../packet/packet-builder.ts';
import { icmpv6Type } from '../packet/protocols.ts';

const everyone = 'ff:ff:ff:ff:ff:ff';
const linkLocal = 'fe80::ff:fe00:11';

describePackets('neighbours', () => {
  const node = usePacketNode();

  describe('ARP', () => {
    const link = packet().ethernet({ source: client.mac, destination: everyone });
    const request = { operation: 'request', senderMac: client.mac, senderIp: client.ipv4 } as const;

    it.each([
      ['the gateway', '169.254.1.1'],
      ['another pod', server.ipv4],
      ['the world', world.ipv4],
    ])('answers for %s', (_title, targetIp) => {
      const { verdict, packet: answer } = node.send(client, link.arp({ ...request, targetIp }));
      expect(verdict).toBe('to client');
      expect(answer).toEqual({
        ethernet: { source: gatewayMac, destination: client.mac, etherType: 0x0806 },
        arp: {
          operation: 'reply',
          senderMac: gatewayMac,
          senderIp: targetIp,
          targetMac: client.mac,
          targetIp: client.ipv4,
        },
      });
    });

    it('answers a probe of an address that is not the pod’s own, so that the pod does not take it', () => {
      const probe = { ...request, senderIp: '0.0.0.0', targetIp: server.ipv4 };
      expect(node.send(client, link.arp(probe)).packet.arp).toMatchObject({
        senderIp: server.ipv4,
        targetIp: '0.0.0.0',
      });
    });

    it.each<[string, Parameters<typeof link.arp>[0], string]>([
      ['a probe of the own address', { ...request, senderIp: '0.0.0.0', targetIp: client.ipv4 }, 'neighbourProtocol'],
      ['an announcement of the own address', { ...request, targetIp: client.ipv4 }, 'neighbourProtocol'],
      ['a reply', { ...request, operation: 'reply', targetIp: server.ipv4 }, 'neighbourProtocol'],
      ['another operation', { ...request, operation: 8, targetIp: server.ipv4 }, 'neighbourProtocol'],
      ['a question in another’s name', { ...request, senderIp: other.ipv4, targetIp: server.ipv4 }, 'invalidSourceIp'],
      ['another kind of link', { ...request, targetIp: server.ipv4, hardware: 6 }, 'invalidPacket'],
      ['another protocol', { ...request, targetIp: server.ipv4, protocol: 0x86dd }, 'invalidPacket'],
      ['link addresses of 8 bytes', { ...request, targetIp: server.ipv4, hardwareLength: 8 }, 'invalidPacket'],
      ['addresses of 16 bytes', { ...request, targetIp: server.ipv4, protocolLength: 16 }, 'invalidPacket'],
    ])('does not answer %s', (_title, fields, reason) => {
      expect(node.send(client, link.arp(fields)).verdict).toBe(`dropped: ${reason} egress`);
    });

    it('does not answer a request that is cut short', () => {
      const cut = link.arp({ ...request, targetIp: server.ipv4 }).truncated(14 + 27);
      expect(node.send(client, cut).verdict).toBe('dropped: invalidPacket egress');
    });

    it('leaves ARP on the uplink to the stack', () => {
      expect(node.send(world, link.arp({ ...request, targetIp: client.ipv4 })).verdict).toBe('untouched');
    });
  });

  describe('neighbour discovery', () => {
    const from = (source: string, destination = 'ff02::1:ff00:c') =>
      packet()
        .ethernet({ source: client.mac, destination: '33:33:ff:00:00:0c' })
        .ipv6({ source, destination, hopLimit: 255 });

    it.each([
      ['from the own address', client.ipv6, client.mac],
      ['from the link-local address', linkLocal, client.mac],
      ['without the option that says who asks', client.ipv6, undefined],
    ])('answers a solicitation %s', (_title, source, sourceMac) => {
      for (const target of ['fe80::1', server.ipv6, world.ipv6]) {
        const asked = from(source).neighbourSolicitation({ target, ...(sourceMac === undefined ? {} : { sourceMac }) });
        const { verdict, packet: answer } = node.send(client, asked);
        expect(verdict).toBe('to client');
        expect(answer).toMatchObject({
          ethernet: { source: gatewayMac, destination: client.mac },
          ip: { source: target, destination: source, ttl: 255, protocol: 58, extensions: [] },
          icmp: { type: icmpv6Type.neighbourAdvertisement, code: 0, checksum: 'right' },
          neighbour: { target, router: true, solicited: true, override: true, linkAddresses: { 2: gatewayMac } },
        });
      }
    });

    it('gives the same answer to a solicitation with more options than one', () => {
      const asked = from(client.ipv6).neighbourSolicitation({ target: server.ipv6, sourceMac: client.mac });
      const more = asked.payload(Uint8Array.of(14, 1, 1, 2, 3, 4, 5, 6, 14, 1, 1, 2, 3, 4, 5, 6));
      const { packet: answer, bytes } = node.send(client, more);
      expect(answer).toMatchObject({ icmp: { checksum: 'right' }, neighbour: { linkAddresses: { 2: gatewayMac } } });
      expect(bytes.length).toBe(14 + 40 + 32);
    });

    it.each<[string, PacketBuilder, string]>([
      [
        'the probe of an address (DAD)',
        from('::').neighbourSolicitation({ target: client.ipv6 }),
        'dropped: neighbourProtocol egress',
      ],
      [
        'a solicitation of the own address',
        from(linkLocal).neighbourSolicitation({ target: client.ipv6, sourceMac: client.mac }),
        'dropped: neighbourProtocol egress',
      ],
      [
        'an advertisement of the own address',
        from(client.ipv6, 'ff02::1').neighbourAdvertisement({ target: client.ipv6, targetMac: client.mac }),
        'dropped: neighbourProtocol egress',
      ],
      [
        'an advertisement of another’s address, to the other',
        from(client.ipv6, other.ipv6).neighbourAdvertisement({ target: server.ipv6, targetMac: client.mac }),
        'dropped: neighbourProtocol egress',
      ],
      [
        'a router solicitation',
        from(linkLocal, 'ff02::2').icmpv6({ type: icmpv6Type.routerSolicitation }),
        'dropped: neighbourProtocol egress',
      ],
      [
        'a router advertisement',
        from(linkLocal, 'ff02::1').icmpv6({ type: icmpv6Type.routerAdvertisement }).payload(new Uint8Array(8)),
        'dropped: forbiddenIcmpv6 egress',
      ],
      [
        'a router advertisement to one pod',
        from(client.ipv6, other.ipv6).icmpv6({ type: icmpv6Type.routerAdvertisement }).payload(new Uint8Array(8)),
        'dropped: forbiddenIcmpv6 egress',
      ],
      [
        'a router advertisement behind extension headers',
        from(client.ipv6, other.ipv6)
          .hopByHop()
          .destinationOptions()
          .icmpv6({ type: icmpv6Type.routerAdvertisement })
          .payload(new Uint8Array(8)),
        'dropped: forbiddenIcmpv6 egress',
      ],
      [
        'a redirect',
        from(linkLocal, other.ipv6).icmpv6({ type: icmpv6Type.redirect }).payload(new Uint8Array(32)),
        'dropped: forbiddenIcmpv6 egress',
      ],
      ...(['listenerQuery', 'listenerReport', 'listenerDone', 'listenerReportV2'] as const).map(
        (name): [string, PacketBuilder, string] => [
          `a multicast ${name}`,
          from(linkLocal, 'ff02::16').hopByHop().icmpv6({ type: icmpv6Type[name] }).payload(new Uint8Array(16)),
          'dropped: neighbourProtocol egress',
        ],
      ),
      [
        'a solicitation that is cut short',
        from(client.ipv6)
          .neighbourSolicitation({ target: server.ipv6 })
          .truncated(14 + 40 + 23),
        'dropped: invalidPacket egress',
      ],
      [
        'a solicitation behind an extension header, which no system sends',
        from(client.ipv6).hopByHop().neighbourSolicitation({ target: server.ipv6 }),
        'dropped: invalidPacket egress',
      ],
      [
        'a solicitation in a fragment (RFC 6980)',
        from(client.ipv6).fragment({ identification: 1, more: true }).neighbourSolicitation({ target: server.ipv6 }),
        'dropped: invalidPacket egress',
      ],
    ])('does not answer %s', (_title, frame, verdict) => {
      expect(node.send(client, frame).verdict).toBe(verdict);
    });

    it('does not report what every link is full of, and reports what only a router may say', async () => {
      node.send(client, from(linkLocal, 'ff02::2').icmpv6({ type: icmpv6Type.routerSolicitation }));
      node.send(client, from(linkLocal, 'ff02::1').icmpv6({ type: icmpv6Type.routerAdvertisement }));
      expect((await node.events()).map(({ reason }) => reason)).toEqual(['forbiddenIcmpv6']);
    });
  });
});
