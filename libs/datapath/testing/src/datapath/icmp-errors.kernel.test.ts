// SPDX-License-Identifier: Apache-2.0
// An ICMP error belongs to the flow of the packet that it quotes: it passes where that may, to the end that sent it.
import { describe, expect, it } from '@jest/globals';
import { conversation, echo, ipPacket, sctp, tcp, udp, type Transport } from '../node/conversation.ts';
import { client, families, gatewayMac, host, office, other, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { packet, type PacketBuilder } from '../packet/packet-builder.ts';
import { icmpType, icmpv6Type, ipProtocol } from '../packet/protocols.ts';

const errorTypes = {
  ipv4: [icmpType.unreachable, icmpType.timeExceeded, icmpType.parameterProblem],
  ipv6: [icmpv6Type.unreachable, icmpv6Type.packetTooBig, icmpv6Type.timeExceeded, icmpv6Type.parameterProblem],
};

describePackets('ICMP errors', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const icmp = family === 'ipv4' ? ipProtocol.icmp : ipProtocol.icmpv6;
    const [unreachable] = errorTypes[family] as [number];
    const messageOn = (network: PacketBuilder, type: number) =>
      family === 'ipv4' ? network.icmp({ type, code: 1 }) : network.icmpv6({ type, code: 1 });
    /** What `from` says to the sender of `quoted` about it. */
    const error = (quoted: PacketBuilder, { from, to }: { from: Party; to: Party }, type: number = unreachable) =>
      messageOn(ipPacket(family, { from, to }), type).quoting(quoted.bytes());
    const between = (from: Party, to: Party, over: Transport) => conversation({ family, from, to, over });
    const run = (talk: ReturnType<typeof between>) => {
      node.send(talk.from, talk.ask('SYN'));
      node.send(talk.to, talk.answer('SYN ACK'));
    };
    /** From now on nothing new may begin at a pod of this node. */
    const closeAll = () => {
      for (const pod of [client, server, other]) node.setPolicy(pod, { ingress: [], egress: [] });
    };
    /** As closeAll, but the flow that is running stays allowed. */
    const closeButFor = (protocol: number) => {
      node.setPolicy(client, { ingress: [], egress: [{ protocol }] });
      node.setPolicy(server, { ingress: [{ protocol }], egress: [] });
      node.setPolicy(other, { ingress: [], egress: [] });
    };
    const denied = 'dropped: policyDenied';

    const kinds: { title: string; over: Transport; protocol: number }[] = [
      { title: 'TCP', over: tcp(40000, 80), protocol: 6 },
      { title: 'UDP', over: udp(40000, 53), protocol: 17 },
      { title: 'SCTP', over: sctp(40000, 3868), protocol: 132 },
      { title: 'an echo', over: echo(7), protocol: icmp },
    ];

    describe.each(kinds)('about $title', ({ over, protocol }) => {
      it('pass to whom they are for, in either direction of the flow', () => {
        const talk = between(client, server, over);
        closeButFor(protocol);
        run(talk);
        const fromServer = node.send(server, error(talk.ask(), { from: server, to: client }));
        const fromClient = node.send(client, error(talk.answer(), { from: client, to: server }));
        expect([fromServer.verdict, fromClient.verdict]).toEqual(['to client', 'to server']);
        expect(fromServer.packet).toMatchObject({ ip: { ttl: 63 }, icmp: { checksum: 'right' } });
      });

      it('pass from a router on the way, in either direction of the flow', () => {
        for (const talk of [between(client, world, over), between(world, client, over)]) {
          node.reset();
          run(talk);
          const frame = talk.from === client ? talk.ask() : talk.answer();
          expect(node.send(office, error(frame, { from: office, to: client })).verdict).toBe('to client');
          node.reset();
          closeAll();
          expect(node.send(office, error(frame, { from: office, to: client })).verdict).toBe(`${denied} ingress`);
        }
      });

      it('pass from the host and to the outside', () => {
        const inward = between(client, host, over);
        run(inward);
        expect(node.send(host, error(inward.ask(), { from: host, to: client })).verdict).toBe('to client');
        const outward = between(world, client, over);
        run(outward);
        expect(node.send(client, error(outward.ask(), { from: client, to: world })).verdict).toBe('to stack');
      });

      it('neither count for the flow nor keep it alive', () => {
        const talk = between(client, server, over);
        run(talk);
        node.pass(30_000);
        const [before] = node.flows();
        node.send(server, error(talk.ask(), { from: server, to: client }));
        expect(node.flows()).toHaveLength(1);
        expect(node.flows()[0]?.entry).toEqual(before?.entry);
      });

      it('are judged by themselves when the flow is unknown or has expired', () => {
        const talk = between(client, server, over);
        const frame = error(talk.ask(), { from: server, to: client });
        closeButFor(protocol === icmp ? ipProtocol.tcp : protocol);
        expect(node.send(server, frame).verdict).toBe(`${denied} egress`);
        node.setPolicy(client, {});
        node.setPolicy(server, {});
        run(talk);
        node.pass(1e8);
        closeAll();
        expect(node.send(server, frame).verdict).toBe(`${denied} egress`);
      });

      it('are dropped when the flow is no longer allowed, for its reason', () => {
        const talk = between(client, server, over);
        run(talk);
        node.setPolicy(server, { ingress: [] });
        expect(node.send(server, error(talk.ask(), { from: server, to: client })).verdict).toBe(`${denied} ingress`);
        expect(node.flows()).toMatchObject([{ verdict: 'policyDenied' }]);
      });

      it('judge their flow anew by its own protocol and port after a change', () => {
        const talk = between(client, server, over);
        run(talk);
        // Messages of ICMP may pass; this flow may not any more, unless it is an echo.
        node.setPolicy(server, { ingress: [{ protocol: icmp }] });
        const isEcho = protocol === icmp;
        expect(node.send(server, error(talk.ask(), { from: server, to: client })).verdict).toBe(
          isEcho ? 'to client' : `${denied} ingress`,
        );
        expect(node.send(client, talk.ask()).verdict).toBe(isEcho ? 'to server' : `${denied} ingress`);
        // And the other way round: this flow may pass, other messages of ICMP may not.
        node.setPolicy(server, {
          ingress: [{ protocol, ...(isEcho ? {} : { port: over.kind === 'echo' ? 0 : 'to' in over ? over.to : 0 }) }],
        });
        expect(node.send(server, error(talk.ask(), { from: server, to: client })).verdict).toBe('to client');
        expect(node.send(client, talk.ask()).verdict).toBe('to server');
      });
    });

    it.each(errorTypes[family])('of type %i are errors', (type) => {
      const talk = between(client, world, udp(40000, 53));
      run(talk);
      node.setPolicy(client, { ingress: [] });
      expect(node.send(office, error(talk.ask(), { from: office, to: client }, type)).verdict).toBe('to client');
    });

    it.each(family === 'ipv4' ? [4, icmpType.redirect, 13] : [0, 5, 100, 127])('of type %i are not errors', (type) => {
      const talk = between(client, world, udp(40000, 53));
      run(talk);
      node.setPolicy(client, { ingress: [] });
      expect(node.send(office, error(talk.ask(), { from: office, to: client }, type)).verdict).toBe(
        `${denied} ingress`,
      );
    });

    it('of a pod that has no part in the flow are judged by themselves', () => {
      const talk = between(client, server, tcp(40000, 80));
      run(talk);
      const frame = error(talk.ask(), { from: other, to: client });
      expect(node.send(other, frame).verdict).toBe('to client');
      node.setPolicy(client, { ingress: [{ peer: server }] });
      expect(node.send(other, frame).verdict).toBe(`${denied} ingress`);
      node.setPolicy(client, {});
      node.setPolicy(other, { egress: [{ peer: server }] });
      expect(node.send(other, frame).verdict).toBe(`${denied} egress`);
    });

    it('that are not for the sender of what they quote are invalid', () => {
      const talk = between(client, server, udp(40000, 53));
      run(talk);
      expect(node.send(server, error(talk.answer(), { from: server, to: client })).verdict).toBe(
        'dropped: invalidPacket egress',
      );
      expect(node.send(office, error(talk.ask(), { from: office, to: other })).verdict).toBe(
        'dropped: invalidPacket ingress',
      );
    });

    it('in the name of a pod or the host are not believed from outside', () => {
      const talk = between(client, world, udp(40000, 53));
      run(talk);
      for (const from of [server, host]) {
        expect(node.send(world, error(talk.ask(), { from, to: client })).verdict).toBe(
          'dropped: invalidSourceIp ingress',
        );
      }
      expect(node.send(host, error(talk.ask(), { from: server, to: client })).verdict).toBe(
        'dropped: invalidSourceIp ingress',
      );
    });

    it('in another’s name are not believed of a pod', () => {
      const talk = between(client, server, udp(40000, 53));
      run(talk);
      const link = packet().ethernet({ source: other.mac, destination: gatewayMac });
      const ends = { source: server[family], destination: client[family] };
      const forged = messageOn(family === 'ipv4' ? link.ipv4(ends) : link.ipv6(ends), unreachable);
      expect(node.send(other, forged.quoting(talk.ask().bytes())).verdict).toBe('dropped: invalidSourceIp egress');
    });

    it('need the first 8 bytes behind the IP header that they quote', () => {
      const talk = between(client, server, udp(40000, 53));
      run(talk);
      const header = family === 'ipv4' ? 20 : 40;
      const quote = (length: number) =>
        messageOn(ipPacket(family, { from: server, to: client }), unreachable).quoting(talk.ask().bytes(), length);
      expect(node.send(server, quote(header + 8)).verdict).toBe('to client');
      expect(node.send(server, quote(header + 7)).verdict).toBe('dropped: ctTruncated egress');
      expect(node.send(server, quote(header - 1)).verdict).toBe('dropped: invalidPacket egress');
      expect(node.send(server, quote(0)).verdict).toBe('dropped: invalidPacket egress');
    });

    it('that quote another family, or an error, are not taken for related', () => {
      const talk = between(client, server, udp(40000, 53));
      run(talk);
      const foreign = conversation({
        family: family === 'ipv4' ? 'ipv6' : 'ipv4',
        from: client,
        to: server,
        over: udp(40000, 53),
      });
      expect(node.send(server, error(foreign.ask(), { from: server, to: client })).verdict).toBe(
        'dropped: invalidPacket egress',
      );
      closeAll();
      const quoted = error(talk.answer(), { from: client, to: server });
      expect(node.send(server, error(quoted, { from: server, to: client })).verdict).toBe(`${denied} egress`);
    });
  });
});
