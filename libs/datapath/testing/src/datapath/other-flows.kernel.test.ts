// SPDX-License-Identifier: Apache-2.0
// Flows without a beginning and an end of their own: UDP, SCTP, echoes, other ICMP messages, any other protocol.
import { describe, expect, it } from '@jest/globals';
import { conversation, echo, ipPacket, protocol, sctp, udp, type Transport } from '../node/conversation.ts';
import { icmpPort } from '../node/policy-writer.ts';
import { client, families, host, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { icmpType, icmpv6Type } from '../packet/protocols.ts';

const idleSeconds = (60 * 1024 * 2 ** 20) / 1e9;

describePackets('flows that are not TCP', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const between = (from: Party, to: Party, over: Transport) => conversation({ family, from, to, over });
    const kinds: { title: string; over: Transport }[] = [
      { title: 'UDP', over: udp(40000, 53) },
      { title: 'UDP between equal ports', over: udp(53, 53) },
      { title: 'SCTP', over: sctp(40000, 3868) },
      { title: 'an echo', over: echo(0x1234) },
      { title: 'an echo with identifier 0', over: echo(0) },
      { title: 'GRE', over: protocol(47) },
      { title: 'ESP', over: protocol(50) },
    ];

    it.each(kinds)('$title: one entry for both directions, a minute from the last packet', ({ over }) => {
      for (const [from, to] of [
        [client, server],
        [server, client],
        [client, world],
        [host, client],
      ] as const) {
        node.reset();
        const talk = between(from, to, over);
        node.send(from, talk.ask());
        node.pass(30_000);
        node.send(to, talk.answer());
        expect(node.flows()).toMatchObject([
          { from: from.name, to: to.name, asked: { packets: 1 }, answered: { packets: 1 } },
        ]);
        expect(node.flows()[0]!.leftSeconds).toBeGreaterThan(idleSeconds - 2);
      }
    });

    it.each(kinds)('$title: an answer passes where a question may not, until the flow has expired', ({ over }) => {
      const talk = between(client, server, over);
      node.setPolicy(client, { ingress: [] });
      expect(node.send(server, talk.answer()).verdict).toBe('dropped: policyDenied ingress');
      node.send(client, talk.ask());
      expect(node.send(server, talk.answer()).verdict).toBe('to client');
      node.pass(idleSeconds * 1000 + 10);
      expect(node.send(server, talk.answer()).verdict).toBe('dropped: policyDenied ingress');
    });

    it('tells UDP, SCTP and TCP with the same ports apart', () => {
      node.setPolicy(client, { ingress: [] });
      node.send(client, between(client, server, udp(40000, 80)).ask());
      expect(node.send(server, between(client, server, sctp(40000, 80)).answer()).verdict).toBe(
        'dropped: policyDenied ingress',
      );
    });

    describe('echoes', () => {
      const ping = between(client, server, echo(7));
      const backwards = between(server, client, echo(7));

      it('do not let in a question with the identifier of one that went out (GHSA-c66w-hq56-4q97)', () => {
        node.setPolicy(client, { ingress: [] });
        node.send(client, ping.ask());
        expect(node.send(server, ping.answer()).verdict).toBe('to client');
        expect(node.send(server, backwards.ask()).verdict).toBe('dropped: policyDenied ingress');
        expect(node.flows()).toMatchObject([{ from: 'client', asked: { packets: 1 }, answered: { packets: 1 } }]);
      });

      it('with one identifier in both directions are two flows', () => {
        node.send(client, ping.ask());
        node.send(server, backwards.ask());
        expect(
          node
            .flows()
            .map(({ from }) => from)
            .toSorted(),
        ).toEqual(['client', 'server']);
        node.setPolicy(client, { ingress: [] });
        expect(node.send(server, ping.answer()).verdict).toBe('to client');
        expect(node.send(server, backwards.ask()).verdict).toBe('dropped: policyDenied ingress');
      });

      it('whose answer nobody asked for are judged, and open no way for a question', () => {
        expect(node.send(server, ping.answer()).verdict).toBe('to client');
        expect(node.flows()).toEqual([]);
        node.setPolicy(server, { ingress: [] });
        node.send(server, ping.answer());
        expect(node.send(client, ping.ask()).verdict).toBe('dropped: policyDenied ingress');
      });

      it('from elsewhere with the same identifier are other flows', () => {
        node.setPolicy(client, { ingress: [] });
        node.send(client, ping.ask());
        expect(node.send(world, between(client, world, echo(7)).answer()).verdict).toBe(
          'dropped: policyDenied ingress',
        );
        expect(node.send(server, between(client, server, echo(8)).answer()).verdict).toBe(
          'dropped: policyDenied ingress',
        );
      });
    });

    describe('other ICMP messages', () => {
      const message = (from: Party, to: Party, type: number) => {
        const network = ipPacket(family, { from, to });
        return family === 'ipv4' ? network.icmp({ type, identifier: 9 }) : network.icmpv6({ type, identifier: 9 });
      };
      const types = family === 'ipv4' ? [icmpType.timestamp, 14, 17, 42, icmpType.redirect] : [138, 139, 140, 160];

      it.each(types)('of type %i are judged one by one and not remembered', (type) => {
        expect(node.send(client, message(client, server, type)).verdict).toBe('to server');
        expect(node.flows()).toEqual([]);
        node.setPolicy(server, { ingress: [] });
        expect(node.send(client, message(client, server, type)).verdict).toBe('dropped: policyDenied ingress');
      });

      it.each(types)('of type %i are allowed by type', (type) => {
        const icmp = family === 'ipv4' ? 1 : 58;
        node.setPolicy(server, { ingress: [{ peer: client, protocol: icmp, port: icmpPort(type) }] });
        expect(node.send(client, message(client, server, type)).verdict).toBe('to server');
        expect(node.send(client, message(client, server, type + 1)).verdict).toBe('dropped: policyDenied ingress');
        expect(node.send(client, between(client, server, echo(1)).ask()).verdict).toBe('dropped: policyDenied ingress');
      });
    });

    it('an echo is allowed by the type of its question, in both directions', () => {
      const [icmp, type] = family === 'ipv4' ? [1, icmpType.echoRequest] : [58, icmpv6Type.echoRequest];
      node.setPolicy(server, { ingress: [{ protocol: icmp, port: icmpPort(type) }], egress: [] });
      const ping = between(client, server, echo(7));
      expect(node.send(client, ping.ask()).verdict).toBe('to server');
      expect(node.send(server, ping.answer()).verdict).toBe('to client');
    });
  });
});
