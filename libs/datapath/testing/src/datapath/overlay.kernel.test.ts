// SPDX-License-Identifier: Apache-2.0
// A node with an overlay: what goes into it, and what is refused that does not come out of it. What comes out carries
// tunnel metadata, which only a real device can give a packet: the lab tests have that.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { conversation, ipPacket, tcp, udp } from '../node/conversation.ts';
import { marks } from '../node/packet-node.ts';
import { client, families, host, remotePod, server, uplinkIfindex, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';

/** Another node itself. */
const neighbour: Party = { ...world, name: 'node', ipv4: '192.0.2.77', ipv6: '2001:db8::77', identity: 6 };
const atHost = { ...remotePod, place: 'host' } as const;

describePackets('the overlay', () => {
  const node = usePacketNode({ config: { overlayIfindex: uplinkIfindex } });
  beforeEach(() => {
    for (const address of [neighbour.ipv6, neighbour.ipv4]) {
      node.setRemote(remotePod, { number: 7, address });
      node.setIdentity({ address, length: 128 }, neighbour.identity);
    }
  });

  describe.each(families)('over %s', (family) => {
    it('takes what pods and the host send to pods of other nodes, and leaves it otherwise as it was', () => {
      for (const from of [client, host]) {
        const talk = conversation({ family, from, to: remotePod, over: tcp(40000, 80) });
        const { verdict, packet } = node.send(from, talk.ask('SYN', { ttl: 9 }));
        expect(verdict).toBe('to overlay');
        expect(packet).toMatchObject({ ip: { ttl: 9 } });
        expect(node.send(from, talk.ask('ACK')).verdict).toBe('to overlay');
      }
    });

    it('leaves what is for the world and for our own pods where it was', () => {
      const verdictOf = (to: typeof world | typeof server): string =>
        node.send(client, conversation({ family, from: client, to, over: udp(40000, 53) }).ask()).verdict;
      expect([verdictOf(world), verdictOf(server)]).toEqual(['to stack', 'to server']);
    });

    it('gets no packets of the world from the host', () => {
      const from = { ...world, place: 'host' } as const;
      const talk = conversation({ family, from, to: remotePod, over: udp(40000, 53) });
      expect(node.send(from, talk.ask()).verdict).toBe('dropped: unroutableIp ingress');
    });

    it('takes what the proxy says to a client on another node, and asks of a server there', () => {
      const leg = conversation({ family, from: client, to: remotePod, over: tcp(40001, 80) });
      const asHost = { ...client, place: 'host' } as const;
      const ask = conversation({ family, from: asHost, to: remotePod, over: tcp(40001, 80) }).ask('SYN');
      expect(node.send(asHost, ask, { mark: marks.serverLeg }).verdict).toBe('to overlay');
      expect(leg.from).toBe(client);
    });

    it("believes nobody else in the name of another node's pod", () => {
      const talk = conversation({ family, from: remotePod, to: client, over: tcp(40000, 80) });
      expect(node.send(remotePod, talk.ask('SYN')).verdict).toBe('dropped: invalidSourceIp ingress');
      const local = conversation({ family, from: atHost, to: client, over: tcp(40000, 80) });
      expect(node.send(atHost, local.ask('SYN')).verdict).toBe('dropped: invalidSourceIp ingress');
    });

    it('takes what pods send to another node itself, and answer it, and believes that node nowhere else', () => {
      const talk = conversation({ family, from: client, to: neighbour, over: tcp(40000, 80) });
      expect(node.send(client, talk.ask('SYN')).verdict).toBe('to overlay');
      expect(node.send(neighbour, talk.answer('SYN ACK')).verdict).toBe('dropped: invalidSourceIp ingress');
      const back = conversation({ family, from: neighbour, to: client, over: udp(40000, 53) });
      expect(node.send(neighbour, back.ask()).verdict).toBe('dropped: invalidSourceIp ingress');
    });

    it('takes what the proxy asks of another node itself', () => {
      const from = { ...client, place: 'host' } as const;
      const ask = conversation({ family, from, to: neighbour, over: tcp(40001, 80) }).ask('SYN');
      expect(node.send(from, ask, { mark: marks.serverLeg }).verdict).toBe('to overlay');
    });

    it("lets errors in from a node that is a router on a pod's way", () => {
      const talk = conversation({ family, from: client, to: world, over: udp(40000, 53) });
      node.send(client, talk.ask());
      const network = ipPacket(family, { from: neighbour, to: client });
      const error = family === 'ipv4' ? network.icmp({ type: 11 }) : network.icmpv6({ type: 3 });
      expect(node.send(neighbour, error.quoting(talk.ask().bytes())).verdict).toBe('to client');
    });

    it("believes nobody else in a running flow of another node's pod", () => {
      const talk = conversation({ family, from: client, to: remotePod, over: tcp(40000, 80) });
      node.send(client, talk.ask('SYN'));
      expect(node.send(remotePod, talk.answer('SYN ACK')).verdict).toBe('dropped: invalidSourceIp ingress');
    });

    it('is closed to a pod that wraps its packets itself', () => {
      for (const to of [host, world, server]) {
        const talk = conversation({ family, from: client, to, over: udp(40000, 8472) });
        expect(node.send(client, talk.ask()).verdict).toBe('dropped: encapsulationProhibited egress');
      }
    });

    it('drops what is for a node that it does not lead to', () => {
      node.setRemote(remotePod, { number: 7, address: '::' });
      const talk = conversation({ family, from: client, to: remotePod, over: udp(40000, 53) });
      expect(node.send(client, talk.ask()).verdict).toBe('dropped: noTunnelEndpoint egress');
    });

    it('follows a pod range that moves to another node, in flows that run', () => {
      const talk = conversation({ family, from: client, to: remotePod, over: udp(40000, 53) });
      node.send(client, talk.ask());
      node.setRemote(remotePod, { number: 8, address: '192.0.2.88' });
      node.setRemote({ ...remotePod, ipv4: '10.9.0.1', ipv6: 'fd00:9::1' }, { number: 7, address: '::' });
      expect(node.send(client, talk.ask()).verdict).toBe('dropped: noTunnelEndpoint egress');
      node.bump();
      expect(node.send(client, talk.ask()).verdict).toBe('to overlay');
    });
  });
});
