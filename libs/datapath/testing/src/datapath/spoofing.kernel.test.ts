// SPDX-License-Identifier: Apache-2.0
// Who may say that he is who. A pod's addresses are believed from the pod alone, the host's never from outside.
import { describe, expect, it } from '@jest/globals';
import { conversation, tcp, udp } from '../node/conversation.ts';
import { marks } from '../node/packet-node.ts';
import { client, families, gatewayMac, host, other, remotePod, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { packet } from '../packet/packet-builder.ts';

const ports = { sourcePort: 40000, destinationPort: 53 };

describePackets('spoofing', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    /** A packet as the client sends it, but with the other's address in it. */
    const pretending = (source: Party, to: Party = server) => {
      const link = packet().ethernet({ source: client.mac, destination: gatewayMac });
      const ends = { source: source[family], destination: to[family] };
      return family === 'ipv4' ? link.ipv4(ends) : link.ipv6(ends);
    };

    it.each([other, host, remotePod, world, server])('refuses a pod the address of $name', (victim) => {
      expect(node.send(client, pretending(victim).udp(ports)).verdict).toBe('dropped: invalidSourceIp egress');
      expect(node.flows()).toEqual([]);
    });

    it('refuses a pod an address that another pod has moved away from', () => {
      node.removePod(other);
      expect(node.send(client, pretending(other).udp(ports)).verdict).toBe('dropped: invalidSourceIp egress');
    });

    it('refuses a pod another’s flow that is running', () => {
      const talk = conversation({ family, from: other, to: server, over: tcp(40000, 80) });
      node.send(other, talk.ask('SYN'));
      node.send(server, talk.answer('SYN ACK'));
      const forged = pretending(other).tcp({ sourcePort: 40000, destinationPort: 80, flags: 'RST' });
      expect(node.send(client, forged).verdict).toBe('dropped: invalidSourceIp egress');
      expect(node.flows()).toMatchObject([{ flags: ['replySeen'], asked: { packets: 1 } }]);
    });

    it.each([other.mac, gatewayMac, '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '02:00:00:00:00:10'])(
      'refuses a pod the MAC address %s',
      (source) => {
        const link = packet().ethernet({ source, destination: gatewayMac });
        const ends = { source: client[family], destination: server[family] };
        const frame = (family === 'ipv4' ? link.ipv4(ends) : link.ipv6(ends)).udp(ports);
        expect(node.send(client, frame).verdict).toBe('dropped: invalidSourceMac egress');
      },
    );

    it.each([
      { hook: world, verdict: 'dropped: invalidSourceIp ingress' },
      { hook: host, verdict: 'dropped: invalidSourceIp ingress' },
    ])('does not believe a pod’s address from the $hook.name', ({ hook, verdict }) => {
      const talk = conversation({ family, from: client, to: server, over: tcp(40000, 80) });
      expect(node.send(hook, talk.ask('SYN')).verdict).toBe(verdict);
      expect(node.send(hook, talk.ask()).verdict).toBe(verdict);
      expect(node.flows()).toEqual([]);

      node.send(client, talk.ask('SYN'));
      node.send(server, talk.answer('SYN ACK'));
      expect(node.send(hook, talk.ask()).verdict).toBe(verdict);
      expect(node.send(hook, talk.answer()).verdict).toBe(verdict);
      expect(node.flows()).toMatchObject([{ asked: { packets: 1 }, answered: { packets: 1 } }]);
    });

    it('does not believe the host’s address from the network', () => {
      const talk = conversation({ family, from: host, to: server, over: tcp(40000, 80) });
      expect(node.send(world, talk.ask('SYN')).verdict).toBe('dropped: invalidSourceIp ingress');
      expect(node.flows()).toEqual([]);
      node.send(host, talk.ask('SYN'));
      expect(node.send(world, talk.ask()).verdict).toBe('dropped: invalidSourceIp ingress');
    });

    it('does not believe an answer of the host from the network', () => {
      const talk = conversation({ family, from: client, to: host, over: udp(40000, 53) });
      node.send(client, talk.ask());
      expect(node.send(world, talk.answer()).verdict).toBe('dropped: invalidSourceIp ingress');
      expect(node.send(host, talk.answer()).verdict).toBe('to client');
    });

    it('does not believe the pod after it has moved to another node', () => {
      const talk = conversation({ family, from: client, to: server, over: tcp(40000, 80) });
      node.send(client, talk.ask('SYN'));
      node.removePod(client);
      node.bump();
      // Now it is somebody outside, whom the network may speak for.
      expect(node.send(world, talk.ask()).verdict).toBe('to server');
      expect(node.send(client, talk.ask()).verdict).toBe('dropped: noConfiguration egress');
    });

    it('takes the proxy’s marks from the host alone, and only where there is a proxy', () => {
      const talk = conversation({ family, from: client, to: server, over: tcp(40000, 80) });
      for (const mark of Object.values(marks)) {
        expect(node.send(world, talk.ask('SYN'), { mark }).verdict).toBe('dropped: invalidSourceIp ingress');
      }
      expect(node.send(host, talk.ask('SYN'), { mark: marks.clientLeg }).verdict).toBe(
        'dropped: ctUnknownState ingress',
      );
      node.send(client, talk.ask('SYN'));
      expect(node.send(host, talk.answer('SYN ACK'), { mark: marks.clientLeg }).verdict).toBe(
        'dropped: ctUnknownState ingress',
      );
    });

    it('says who it was that pretended', async () => {
      node.send(client, pretending(other).udp(ports));
      expect(await node.events()).toMatchObject([
        { type: 'drop', reason: 'invalidSourceIp', direction: 'egress', from: 'other', raw: { sourceIdentity: 1011 } },
      ]);
      expect((await node.events())[0]?.raw.sourceEndpoint).toBe(client.id);
    });
  });
});
