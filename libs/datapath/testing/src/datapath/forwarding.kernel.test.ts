// SPDX-License-Identifier: Apache-2.0
// Where packets go when no policy says otherwise, and what is done to them on the way.
import { describe, expect, it } from '@jest/globals';
import { conversation, ipPacket, tcp, udp } from '../node/conversation.ts';
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
const loopback: Party = { name: 'loopback', ipv4: '127.0.0.1', ipv6: '::1', identity: 2, place: 'network' };
const broadcast: Party = { name: 'broadcast', ipv4: '255.255.255.255', ipv6: 'ff02::1', identity: 2, place: 'network' };

describePackets('forwarding', () => {
  const node = usePacketNode();
  const send = (family: Family, from: Party, to: Party, ttl = 64) =>
    node.send(from, conversation({ family, from, to, over: udp(40000, 53) }).ask('', { ttl }));

  describe.each(families)('over %s', (family) => {
    it.each([
      { from: client, to: server, verdict: 'to server' },
      { from: client, to: host, verdict: 'to stack' },
      { from: client, to: remotePod, verdict: 'to stack' },
      { from: client, to: office, verdict: 'to stack' },
      { from: client, to: world, verdict: 'to stack' },
      { from: host, to: client, verdict: 'to client' },
      { from: remotePod, to: client, verdict: 'to client' },
      { from: world, to: client, verdict: 'to client' },
      { from: world, to: host, verdict: 'untouched' },
      { from: world, to: remotePod, verdict: 'untouched' },
      { from: client, to: group, verdict: 'dropped: multicast egress' },
      { from: client, to: broadcast, verdict: 'dropped: multicast egress' },
      { from: client, to: loopback, verdict: 'dropped: unroutableIp egress' },
      { from: host, to: group, verdict: 'dropped: multicast ingress' },
      { from: world, to: group, verdict: 'untouched' },
      { from: host, to: nobody, verdict: 'dropped: unroutableIp ingress' },
      { from: host, to: world, verdict: 'dropped: unroutableIp ingress' },
    ])('from $from.name to $to.name: $verdict', ({ from, to, verdict }) => {
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

    it.each([
      { from: client, ttl: 64, left: 63, verdict: 'to server' },
      { from: client, ttl: 2, left: 1, verdict: 'to server' },
      { from: client, ttl: 1, left: 1, verdict: 'to stack' },
      { from: client, ttl: 0, left: 0, verdict: 'to stack' },
      { from: world, ttl: 64, left: 63, verdict: 'to server' },
      { from: world, ttl: 1, left: 1, verdict: 'to stack' },
      { from: host, ttl: 64, left: 64, verdict: 'to server' },
      { from: host, ttl: 1, left: 1, verdict: 'to server' },
    ])('takes a hop from what it routes, not from the host’s: $from.name, $ttl hops, $verdict', (row) => {
      const outcome = send(family, row.from, server, row.ttl);
      expect(outcome.verdict).toBe(row.verdict);
      expect(outcome.packet.ip?.ttl).toBe(row.left);
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

    it('drops what a pod sends to an address that no pod has, when it comes back from the stack', () => {
      expect(send(family, client, nobody).verdict).toBe('to stack');
      const looped = conversation({ family, from: client, to: nobody, over: udp(40000, 53) }).ask();
      expect(node.send(host, looped).verdict).toBe('dropped: unroutableIp ingress');
    });

    it('takes a pod that is gone for an address that nobody has', () => {
      node.removePod(server);
      expect(send(family, host, server).verdict).toBe('dropped: unroutableIp ingress');
      expect(send(family, world, server).verdict).toBe('untouched');
    });

    it.each([0x200, 0xa00, 0xb00, 0xffff])('does not believe a mark %i of a pod or of the network', (mark) => {
      const talk = conversation({ family, from: client, to: world, over: udp(40000, 53) });
      expect(node.send(client, talk.ask(), { mark }).verdict).toBe('to stack');
      const back = conversation({ family, from: world, to: other, over: udp(40000, 53) });
      expect(node.send(world, back.ask(), { mark }).verdict).toBe('to other');
    });

    it('leaves marks of the host that are not ours without effect', () => {
      const talk = conversation({ family, from: host, to: client, over: udp(40000, 53) });
      expect(node.send(host, talk.ask(), { mark: 0x14f01 }).verdict).toBe('to client');
    });
  });

  it('keeps the IPv4 header checksum right at every turn of its sum', () => {
    const header = { source: client.ipv4, destination: server.ipv4, ttl: 64 };
    const link = { source: client.mac, destination: 'ee:ee:ee:ee:ee:ee' };
    const build = (identification: number) =>
      packet()
        .ethernet(link)
        .ipv4({ ...header, identification })
        .udp({ sourcePort: 1, destinationPort: 2 })
        .bytes();
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
