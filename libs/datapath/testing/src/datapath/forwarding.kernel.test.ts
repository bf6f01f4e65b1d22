// SPDX-License-Identifier: Apache-2.0
// Where packets go when no policy says otherwise, and what is done to them on the way.
import { describe, expect, it } from '@jest/globals';
import { conversation, ipPacket, tcp, udp } from '../node/conversation.ts';
import { marks } from '../node/packet-node.ts';
import {
  client,
  families,
  host,
  office,
  other,
  remotePod,
  server,
  world,
  type Family,
  type Party,
} from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { packet } from '../packet/packet-builder.ts';

const nobody: Party = { name: 'nobody', ipv4: '10.1.0.99', ipv6: 'fd00:10:1::63', identity: 2, place: 'network' };
const group: Party = { name: 'group', ipv4: '224.0.0.251', ipv6: 'ff02::fb', identity: 2, place: 'network' };
const broadcast: Party = { name: 'broadcast', ipv4: '255.255.255.255', ipv6: 'ff02::1', identity: 2, place: 'network' };

describePackets('forwarding', () => {
  const node = usePacketNode();
  const send = (family: Family, from: Party, to: Party, ttl = 64) =>
    node.send(from, conversation({ family, from, to, over: udp(40000, 53) }).ask('', { ttl }));

  describe.each(families)('over %s', (family) => {
    it.each<[from: Party, to: Party, verdict: string]>([
      [client, server, 'to server'],
      [client, host, 'to stack'],
      [client, remotePod, 'to stack'],
      [client, office, 'to stack'],
      [client, world, 'to stack'],
      [host, client, 'to client'],
      [remotePod, client, 'to client'],
      [world, client, 'to client'],
      [world, host, 'untouched'],
      [world, remotePod, 'untouched'],
      [client, group, 'dropped: multicast egress'],
      [client, broadcast, 'dropped: multicast egress'],
      [host, group, 'dropped: multicast ingress'],
      [world, group, 'untouched'],
      [host, nobody, 'dropped: unroutableIp ingress'],
      [host, world, 'dropped: unroutableIp ingress'],
    ])('from $name', (from, to, verdict) => {
      expect(send(family, from, to).verdict).toBe(verdict);
    });

    it('sends answers back the way the question came', () => {
      for (const to of [server, host, remotePod, world]) {
        const talk = conversation({ family, from: client, to, over: tcp(40000, 80) });
        node.send(client, talk.ask('SYN'));
        expect(node.send(to, talk.answer('SYN ACK')).verdict).toBe('to client');
      }
      for (const from of [host, remotePod, world]) {
        const talk = conversation({ family, from, to: client, over: tcp(40000, 80) });
        node.send(from, talk.ask('SYN'));
        expect(node.send(client, talk.answer('SYN ACK')).verdict).toBe('to stack');
      }
    });

    it('gives a packet to a pod the MAC addresses of its link, and changes nothing behind the IP header', () => {
      const talk = conversation({ family, from: client, to: server, over: tcp(40000, 80) });
      const sent = talk.ask('SYN').payload('hello').bytes();
      const { packet: received, bytes } = node.send(client, sent);
      expect(received).toMatchObject({
        ethernet: { source: 'ee:ee:ee:ee:ee:ee', destination: server.mac },
        ip: { source: client[family], destination: server[family] },
        tcp: { flags: 'SYN', checksum: 'right' },
      });
      expect(Buffer.compare(bytes.subarray(-25), sent.subarray(-25))).toBe(0);
    });

    it('knows by interface where a flow’s ends are', () => {
      send(family, client, server);
      expect(node.flows()).toMatchObject([
        { from: 'client', to: 'server', entry: { sourceIfindex: client.ifindex, destinationIfindex: server.ifindex } },
      ]);
    });

    it.each<[from: Party, ttl: number, verdict: string, left?: number]>([
      [client, 64, 'to server', 63],
      [client, 2, 'to server', 1],
      [client, 1, 'to stack'],
      [client, 0, 'to stack'],
      [world, 64, 'to server', 63],
      [world, 1, 'to stack'],
      [host, 64, 'to server', 64],
      [host, 1, 'to server', 1],
    ])('takes a hop from what it routes, and leaves the rest to the stack: %#', (from, ttl, verdict, left) => {
      const outcome = send(family, from, server, ttl);
      expect(outcome.verdict).toBe(verdict);
      if (left !== undefined) expect(outcome.packet.ip?.ttl).toBe(left);
    });

    it('takes a hop from answers too', () => {
      const talk = conversation({ family, from: client, to: server, over: udp(40000, 53) });
      node.send(client, talk.ask());
      expect(node.send(server, talk.answer('', { ttl: 9 })).packet.ip?.ttl).toBe(8);
      expect(node.send(server, talk.answer('', { ttl: 1 })).verdict).toBe('to stack');
    });

    it('drops what comes from an interface that no pod is known to have', () => {
      node.removePod(client);
      expect(send(family, client, server).verdict).toBe('dropped: noConfiguration egress');
    });

    it('takes a pod that is gone for an address that nobody has', () => {
      node.removePod(server);
      expect(send(family, host, server).verdict).toBe('dropped: unroutableIp ingress');
      expect(send(family, world, server).verdict).toBe('untouched');
    });

    it.each([0x200, 0xa00, 0xb00, 0xffff])('clears the mark %# of what a pod or the network sends', (mark) => {
      const talk = conversation({ family, from: client, to: world, over: udp(40000, 53) });
      expect(node.send(client, talk.ask(), { mark }).verdict).toBe('to stack');
      const back = conversation({ family, from: world, to: other, over: udp(40000, 53) });
      expect(node.send(world, back.ask(), { mark: marks.clientLeg }).verdict).toBe('to other');
    });

    it('leaves marks of the host that are not ours without effect', () => {
      const talk = conversation({ family, from: host, to: client, over: udp(40000, 53) });
      expect(node.send(host, talk.ask(), { mark: 0x4f00 | 0x1 }).verdict).toBe('to client');
    });
  });

  it('keeps the IPv4 header checksum right at every turn of its sum', () => {
    const header = { source: client.ipv4, destination: server.ipv4, ttl: 64 };
    const link = { source: client.mac, destination: 'ee:ee:ee:ee:ee:ee' };
    const build = (identification: number) =>
      packet().ethernet(link).ipv4({ ...header, identification }).udp({ sourcePort: 1, destinationPort: 2 }).bytes();
    const checksumOf = (frame: Uint8Array) => new DataView(frame.buffer).getUint16(24);
    // The checksum falls by one when the identification rises by one, so every value can be had.
    const wanted = [0x0000, 0x0001, 0xfdff, 0xfe00, 0xfeff, 0xff00, 0xff01, 0xfffe];
    const first = checksumOf(build(0));
    for (const checksum of wanted) {
      const frame = [first - checksum, first - checksum + 0xffff]
        .map((identification) => build(identification & 0xffff))
        .find((candidate) => checksumOf(candidate) === checksum);
      expect(frame).toBeDefined();
      expect(node.send(client, frame!).packet.ip).toMatchObject({ ttl: 63, checksum: 'right' });
    }
  });

  it('does not repair a wrong IPv4 header checksum', () => {
    const frame = ipPacket('ipv4', { from: client, to: server }).udp({ sourcePort: 1, destinationPort: 2 }).bytes();
    frame[24]! ^= 0x55;
    expect(node.send(client, frame).packet.ip?.checksum).toBe('wrong');
  });
});
