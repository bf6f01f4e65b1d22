// SPDX-License-Identifier: Apache-2.0
// What pods send out of the cluster leaves with the node's address and a port of its own, and what is said to that comes
// back to the pod: through all of the programs, from the pod to the wire and back.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { listenTcp } from '@weir/bpf-loader-node';
import { closeSync } from 'node:fs';
import { conversation, echo, ipPacket, protocol, sctp, tcp, udp, type Transport } from '../node/conversation.ts';
import { masqueradeOf } from '../node/masquerade-node.ts';
import { marks } from '../node/packet-node.ts';
import { client, families, host, office, officeRanges, other, remotePod, server, world } from '../node/scene.ts';
import type { Family, Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';
import type { PacketBuilder } from '../packet/packet-builder.ts';
import { parsePacket, type ParsedPacket } from '../packet/parse-packet.ts';
import { ethernetBytes, icmpType, icmpv6Type } from '../packet/protocols.ts';

const ports = { first: 20_000, count: 4 } as const;
const config = { masqueradeFirstPort: ports.first, masqueradePorts: ports.count };
const isOurs = (port: number): boolean => port >= ports.first && port < ports.first + ports.count;

/** The node as others see it. */
const outsideHost: Party = { ...host, place: 'network' };

const kinds: { title: string; over: Transport }[] = [
  { title: 'TCP', over: tcp(40_000, 443) },
  { title: 'UDP', over: udp(40_000, 53) },
  { title: 'an echo', over: echo(7) },
];

/** The port of the node in a packet from it: of an echo, the identifier. */
const nodePort = (packet: ParsedPacket): number => packet.ports?.source ?? packet.icmp?.identifier ?? 0;
const checksum = (packet: ParsedPacket): string | undefined => (packet.tcp ?? packet.udp ?? packet.icmp)?.checksum;

/** The flow of `over` as the other end sees it: from the node, and the port that it has there. */
const seenOutside = (family: Family, over: Transport, port: number, to: Party = world) =>
  conversation({
    family,
    from: outsideHost,
    to,
    over: over.kind === 'echo' ? echo(port) : 'from' in over ? { ...over, from: port } : over,
  });

describePackets('masquerading', () => {
  const node = usePacketNode({ config });
  const masquerade = () => masqueradeOf(node);
  beforeEach(() => masquerade().reset());

  /** Sends a packet of a pod to the wire. */
  const out = (from: Party, frame: PacketBuilder | Uint8Array) => {
    const sent = node.send(from, frame);
    expect(sent.verdict).toBe('to outside');
    return masquerade().leave(sent.bytes);
  };

  describe.each(families)('over %s', (family) => {
    const talk = (over: Transport, { from = client, to = world }: { from?: Party; to?: Party } = {}) =>
      conversation({ family, from, to, over });
    const opening = ({ kind }: Transport): string => (kind === 'tcp' ? 'SYN' : 'ACK');

    describe.each(kinds)('$title', ({ over }) => {
      it('leaves with the address of the node and a port of its range, and is otherwise the same', () => {
        const sent = talk(over).ask(opening(over));
        const { verdict, packet } = out(client, sent);
        expect(verdict).toBe('masqueraded');
        expect(packet.ip).toEqual({ ...parsePacket(sent.bytes()).ip, source: host[family] });
        expect(isOurs(nodePort(packet))).toBe(true);
        expect(checksum(packet)).toBe('right');
        expect(packet.ports?.destination).toBe(parsePacket(sent.bytes()).ports?.destination);
      });

      it('is answered at that port, and the answer comes to the pod as one to what it sent', () => {
        const { packet } = out(client, talk(over).ask(opening(over)));
        const answer = seenOutside(family, over, nodePort(packet)).answer('SYN ACK');
        const back = node.send(world, answer);
        expect(back.verdict).toBe('to client');
        const expected = parsePacket(talk(over).answer('SYN ACK').bytes());
        expect({ ...back.packet, ethernet: 0 }).toEqual({ ...expected, ethernet: 0, ip: { ...expected.ip, ttl: 63 } });
        expect(node.flows()).toMatchObject([{ from: 'client', to: 'world', answered: { packets: 1 } }]);
      });

      it('keeps its port as long as it lives', () => {
        const first = nodePort(out(client, talk(over).ask(opening(over))).packet);
        for (let count = 0; count < 3; count++) {
          node.pass(20_000);
          masquerade().pass(20_000);
          expect(nodePort(out(client, talk(over).ask()).packet)).toBe(first);
        }
        expect(masquerade().mappings()).toHaveLength(1);
      });

      it('finds its port again after it was forgotten', () => {
        const first = nodePort(out(client, talk(over).ask(opening(over))).packet);
        masquerade().reset();
        expect(nodePort(out(client, talk(over).ask()).packet)).toBe(first);
      });

      it('shares no port with a flow of another pod to the same end', () => {
        const used = [client, server, other].map((from) =>
          nodePort(out(from, talk(over, { from }).ask(opening(over))).packet),
        );
        expect(new Set(used).size).toBe(3);
        for (const [index, from] of [client, server, other].entries()) {
          const answer = seenOutside(family, over, used[index]!).answer('SYN ACK');
          expect(node.send(world, answer).verdict).toBe(`to ${from.name}`);
        }
      });

      it('is dropped when all ports towards an end are taken, which is counted, and goes on when one is free', () => {
        const flowOf = (index: number): Transport =>
          over.kind === 'echo' ? echo(100 + index) : ({ ...over, from: 41_000 + index } as Transport);
        for (let index = 0; index < ports.count; index++) {
          expect(out(client, talk(flowOf(index)).ask(opening(over))).verdict).toBe('masqueraded');
        }
        const late = talk(flowOf(ports.count)).ask(opening(over));
        expect(out(client, late).verdict).toBe('dropped: natNoMapping egress');
        expect(masquerade().counters()).toMatchObject({ mapped: BigInt(ports.count), exhausted: 1n });
        expect(Number(masquerade().counters().retries)).toBeGreaterThanOrEqual(32);
        // Towards another end the same ports are free.
        expect(out(client, talk(over, { to: office }).ask(opening(over))).verdict).toBe('masqueraded');
        // Those that run are not disturbed, and one that is over makes room.
        expect(out(client, talk(flowOf(0)).ask()).verdict).toBe('masqueraded');
        masquerade().pass(9e6);
        expect(out(client, late).verdict).toBe('masqueraded');
      });
    });

    it('reports what is dropped for want of a port, with both ends', async () => {
      masquerade().setUplink({ ipv4: '::', ipv6: '::' });
      expect(out(client, talk(udp(1, 53)).ask()).verdict).toBe('dropped: natNoMapping egress');
      expect(await node.events()).toContainEqual(
        expect.objectContaining({ type: 'drop', reason: 'natNoMapping', from: 'client', to: 'world' }),
      );
    });

    it('takes no port that a socket of the host listens at', () => {
      const listeners = [0, 1, 2].map((index) =>
        listenTcp({ address: family === 'ipv4' ? '0.0.0.0' : '::', port: ports.first + index, netns: node.netns }),
      );
      try {
        const free = ports.first + 3;
        expect(nodePort(out(client, talk(tcp(40_000, 443)).ask('SYN')).packet)).toBe(free);
        expect(out(server, talk(tcp(40_000, 443), { from: server }).ask('SYN')).verdict).toBe(
          'dropped: natNoMapping egress',
        );
      } finally {
        listeners.forEach((fd) => closeSync(fd));
      }
    });

    it('remembers flows by protocol and state', () => {
      const left = (): number => masquerade().mappings()[0]?.leftSeconds ?? 0;
      const over = tcp(40_000, 443);
      const port = nodePort(out(client, talk(over).ask('SYN')).packet);
      expect(left()).toBeCloseTo(60 * 1.074, 0);
      node.send(world, seenOutside(family, over, port).answer('SYN ACK'));
      out(client, talk(over).ask('ACK'));
      expect(left()).toBeGreaterThan(8_000);
      out(client, talk(over).ask('FIN ACK'));
      node.send(world, seenOutside(family, over, port).answer('FIN ACK'));
      expect(left()).toBeCloseTo(10 * 1.074, 0);
      out(client, talk(over).ask('SYN'));
      expect(left()).toBeCloseTo(60 * 1.074, 0);
      masquerade().reset();
      out(client, talk(udp(1, 53)).ask());
      expect(left()).toBeCloseTo(60 * 1.074, 0);
    });

    it('gives no answer to a pod after the flow is over, or to one that is gone', () => {
      const over = udp(40_000, 53);
      const port = nodePort(out(client, talk(over).ask()).packet);
      const answer = seenOutside(family, over, port).answer();
      masquerade().pass(100_000);
      expect(node.send(world, answer).verdict).toBe('untouched');
      out(client, talk(over).ask());
      node.removePod(client);
      expect(node.send(world, answer).verdict).toBe('untouched');
    });

    it('leaves alone what others say to the host', () => {
      out(client, talk(tcp(40_000, 443)).ask('SYN'));
      for (const over of [tcp(443, 22), tcp(443, ports.first), udp(443, ports.first), tcp(444, ports.first + 1)]) {
        expect(node.send(office, talk(over, { from: office, to: outsideHost }).ask('SYN')).verdict).toBe('untouched');
      }
    });

    it('is for pods only, and only for what leaves the cluster', () => {
      const verdictOf = (from: Party, to: Party): string =>
        node.send(from, talk(tcp(1, 2), { from, to }).ask('SYN')).verdict;
      expect(verdictOf(client, world)).toBe('to outside');
      expect(verdictOf(client, office)).toBe('to outside');
      expect(verdictOf(client, server)).toBe('to server');
      expect(verdictOf(client, host)).toBe('to stack');
      expect(verdictOf(client, remotePod)).toBe('to stack');
      // Of the stack's own packets it wants to know nothing.
      expect(masquerade().leave(talk(tcp(1, 2), { from: host }).ask(), { mark: 0 }).verdict).toBe('untouched');
    });

    it('is judged as the pod, before anything is translated', () => {
      node.setPolicy(client, { egress: [{ peer: office }] });
      expect(node.send(client, talk(tcp(1, 2)).ask('SYN')).verdict).toBe('dropped: policyDenied egress');
      expect(node.send(client, talk(tcp(1, 2), { to: office }).ask('SYN')).verdict).toBe('to outside');
    });

    it('cuts a flow that is no longer allowed, in both directions', () => {
      const over = udp(40_000, 53);
      const port = nodePort(out(client, talk(over).ask()).packet);
      node.setPolicy(client, { egress: [], ingress: [] });
      expect(node.send(world, seenOutside(family, over, port).answer()).verdict).toBe('dropped: policyDenied egress');
      expect(node.send(client, talk(over).ask()).verdict).toBe('dropped: policyDenied egress');
    });

    it('does not touch answers to what came to the pod’s own address', () => {
      const inward = talk(tcp(5_000, 80), { from: world, to: client });
      expect(node.send(world, inward.ask('SYN')).verdict).toBe('to client');
      expect(node.send(client, inward.answer('SYN ACK')).verdict).toBe('to stack');
    });

    it('leaves pods their addresses where it is told to, also after the range has changed', () => {
      const kept = talk(udp(1, 53), { to: office });
      out(client, talk(udp(2, 53), { to: office }).ask());
      for (const range of officeRanges) masquerade().exclude(range);
      expect(node.send(client, kept.ask()).verdict).toBe('to stack');
      node.bump();
      expect(node.send(client, kept.ask()).verdict).toBe('to stack');
      // What runs keeps what it has.
      expect(node.send(client, talk(udp(2, 53), { to: office }).ask()).verdict).toBe('to outside');
      expect(node.send(client, talk(udp(1, 53)).ask()).verdict).toBe('to outside');
    });

    it('translates what the proxy asks of a server outside in a pod’s name', () => {
      const asHost: Party = { ...client, place: 'host' };
      const sent = node.send(asHost, talk(tcp(40_001, 80), { from: asHost }).ask('SYN'), { mark: marks.serverLeg });
      expect(sent.verdict).toBe('to outside');
      const { packet } = masquerade().leave(sent.bytes);
      expect(packet.ip?.source).toBe(host[family]);
      const answer = seenOutside(family, tcp(40_001, 80), nodePort(packet)).answer('SYN ACK');
      expect(node.send(world, answer).verdict).toMatch(/^to proxy|dropped: proxyNotListening ingress$/);
      expect(node.flows()).toMatchObject([{ isProxyLeg: true, answered: { packets: 1 } }]);
    });

    it('keeps the port of SCTP, whose checksum it could not make anew, and refuses a second one', () => {
      const over = sctp(3868, 3868);
      const { packet } = out(client, talk(over).ask());
      expect([packet.ip?.source, packet.ports?.source]).toEqual([host[family], 3868]);
      expect(node.send(world, seenOutside(family, over, 3868).answer()).verdict).toBe('to client');
      expect(out(server, talk(over, { from: server }).ask()).verdict).toBe('dropped: natNoMapping egress');
    });

    it('leaves a datagram without a checksum without one', () => {
      const frame = Buffer.from(talk(udp(40_000, 53)).ask().bytes());
      const at = ethernetBytes + (family === 'ipv4' ? 20 : 40) + 6;
      frame.writeUInt16BE(0, at);
      const { verdict, bytes } = out(client, frame);
      expect([verdict, Buffer.from(bytes).readUInt16BE(at)]).toEqual(['masqueraded', 0]);
    });

    it('does not let out what it cannot tell apart afterwards', () => {
      for (const number of [47, 50, 115]) {
        expect(out(client, talk(protocol(number)).ask()).verdict).toBe('dropped: natUnsupportedProtocol egress');
      }
      const link = ipPacket(family, { from: client, to: world });
      const message = family === 'ipv4' ? link.icmp({ type: 13 }) : link.icmpv6({ type: 100 });
      const sent = node.send(client, message);
      expect(sent.verdict).toBe('to outside');
      expect(masquerade().leave(sent.bytes).verdict).toBe('dropped: natUnsupportedProtocol egress');
      // Nobody has asked.
      const answer = talk(echo(9), { from: world, to: client }).answer();
      expect(out(client, answer).verdict).toBe('dropped: natUnsupportedProtocol egress');
    });

    it('translates fragments, those that follow by what the first one said, in both directions', () => {
      const long = 'x'.repeat(100);
      const over = udp(40_000, 53);
      const pieces = fragmentPacket(talk(over).ask().payload(long).bytes(), { identification: 9, size: 40 });
      const sent = pieces.map((frame) => out(client, frame));
      expect(sent.map(({ packet }) => packet.ip?.source)).toEqual(pieces.map(() => host[family]));
      const port = nodePort(sent[0]!.packet);
      expect(isOurs(port)).toBe(true);
      const whole = seenOutside(family, over, port).ask().payload(long).bytes();
      // What arrives is what would have been sent by the node: put together, the checksum is right.
      const expected = fragmentPacket(whole, { identification: 9, size: 40 });
      const bodies = (frames: readonly Uint8Array[]) =>
        frames.map((frame) => Buffer.from(frame.subarray(ethernetBytes)).toString('hex'));
      expect(bodies(sent.map(({ bytes }) => bytes))).toEqual(bodies(expected));
      const answer = seenOutside(family, over, port).answer().payload(long).bytes();
      const verdicts = fragmentPacket(answer, { identification: 10, size: 40 }).map((frame) => node.send(world, frame));
      expect(verdicts.map(({ verdict, packet }) => [verdict, packet.ip?.destination])).toEqual(
        verdicts.map(() => ['to client', client[family]]),
      );
    });

    it('translates fragments that the stack has made of a whole packet', () => {
      const whole = node.send(client, talk(udp(40_000, 53)).ask().payload('x'.repeat(100))).bytes;
      const sent = fragmentPacket(whole, { identification: 11, size: 40 }).map((frame) => masquerade().leave(frame));
      expect(sent.map(({ verdict, packet }) => [verdict, packet.ip?.source])).toEqual(
        sent.map(() => ['masqueraded', host[family]]),
      );
    });

    describe('errors', () => {
      const unreachable = family === 'ipv4' ? icmpType.unreachable : icmpv6Type.unreachable;
      const tooBig = family === 'ipv4' ? icmpType.unreachable : icmpv6Type.packetTooBig;
      const errorOn = (network: PacketBuilder, type: number) =>
        family === 'ipv4' ? network.icmp({ type, code: 4 }) : network.icmpv6({ type, code: 0 });
      const error = (
        quoted: PacketBuilder,
        ends: { from: Party; to: Party },
        { type = unreachable, length = 1000 }: { type?: number; length?: number } = {},
      ) => {
        const bytes = quoted.bytes();
        return errorOn(ipPacket(family, ends), type).quoting(bytes, Math.min(length, bytes.length - ethernetBytes));
      };
      /** The packet that an error quotes, with a link in front of it so that it can be taken apart. */
      const quotedIn = (bytes: Uint8Array): ParsedPacket => {
        const header = family === 'ipv4' ? 20 : 40;
        const link = bytes.subarray(0, ethernetBytes);
        return parsePacket(Buffer.concat([link, bytes.subarray(ethernetBytes + header + 8)]));
      };

      it.each(kinds)('about $title come back to the pod, with what it sent in them', ({ over }) => {
        const asked = talk(over).ask(opening(over));
        const port = nodePort(out(client, asked).packet);
        for (const type of [unreachable, tooBig]) {
          const back = node.send(
            office,
            error(seenOutside(family, over, port).ask(opening(over)), { from: office, to: outsideHost }, { type }),
          );
          expect(back.verdict).toBe('to client');
          expect(back.packet).toMatchObject({
            ip: { source: office[family], destination: client[family] },
            icmp: { type, checksum: 'right' },
          });
          expect({ ...quotedIn(back.bytes), ethernet: 0 }).toEqual({ ...parsePacket(asked.bytes()), ethernet: 0 });
        }
      });

      it.each(kinds)('about $title come back when they quote no more than they must', ({ over }) => {
        const port = nodePort(out(client, talk(over).ask(opening(over))).packet);
        const length = (family === 'ipv4' ? 20 : 40) + 8;
        const quoted = seenOutside(family, over, port).ask(opening(over));
        const back = node.send(office, error(quoted, { from: office, to: outsideHost }, { length }));
        expect(back.verdict).toBe('to client');
        expect(back.packet.icmp?.checksum).toBe('right');
        const { ip, ports, icmp } = parsePacket(talk(over).ask().bytes());
        expect(quotedIn(back.bytes)).toMatchObject({
          ip: { source: ip?.source, destination: ip?.destination },
          ...(icmp ? { icmp: { identifier: icmp.identifier } } : { ports }),
        });
      });

      it('about what is not ours are the host’s', () => {
        out(client, talk(udp(40_000, 53)).ask());
        for (const port of [ports.first - 1, 40_000]) {
          const quoted = seenOutside(family, udp(1, 53), port).ask();
          expect(node.send(office, error(quoted, { from: office, to: outsideHost })).verdict).toBe('untouched');
        }
        const elsewhere = seenOutside(family, udp(1, 54), ports.first).ask();
        expect(node.send(office, error(elsewhere, { from: office, to: outsideHost })).verdict).toBe('untouched');
      });

      it.each(kinds)('of a pod about answers to $title leave in the node’s name', ({ over }) => {
        const port = nodePort(out(client, talk(over).ask(opening(over))).packet);
        const answer = talk(over).answer('SYN ACK');
        const sent = out(client, error(answer, { from: client, to: world }));
        expect(sent.verdict).toBe('masqueraded');
        expect(sent.packet).toMatchObject({
          ip: { source: host[family], destination: world[family] },
          icmp: { checksum: 'right' },
        });
        const seen = parsePacket(seenOutside(family, over, port).answer('SYN ACK').bytes());
        expect({ ...quotedIn(sent.bytes), ethernet: 0 }).toEqual({ ...seen, ethernet: 0 });
      });

      it('do not keep a flow alive', () => {
        const over = udp(40_000, 53);
        const port = nodePort(out(client, talk(over).ask()).packet);
        masquerade().pass(50_000);
        const [before] = masquerade().mappings();
        node.send(office, error(seenOutside(family, over, port).ask(), { from: office, to: outsideHost }));
        out(client, error(talk(over).answer(), { from: client, to: world }));
        expect(masquerade().mappings()[0]?.leftSeconds).toBeLessThanOrEqual(before!.leftSeconds);
      });

      it('of a pod about a flow that was not masqueraded are not', () => {
        const inward = talk(udp(5_000, 80), { from: world, to: client });
        node.send(world, inward.ask());
        expect(node.send(client, error(inward.ask(), { from: client, to: world })).verdict).toBe('to stack');
      });
    });
  });

  it('has addresses of its own for each family, and lets nothing out of an uplink that has none', () => {
    masquerade().setUplink({ ipv4: host.ipv4, ipv6: '::' });
    const sent = (family: Family) =>
      out(client, conversation({ family, from: client, to: world, over: udp(1, 53) }).ask()).verdict;
    expect([sent('ipv4'), sent('ipv6')]).toEqual(['masqueraded', 'dropped: natNoMapping egress']);
  });

  it('lets nothing out of an interface that it does not know', () => {
    const frame = conversation({ family: 'ipv4', from: client, to: world, over: udp(1, 53) }).ask();
    expect(masquerade().leave(frame, { ifindex: client.ifindex }).verdict).toBe('dropped: natNoMapping egress');
  });
});

describePackets('without masquerading', () => {
  const node = usePacketNode();

  it('pods keep their addresses, and nothing is looked for in what arrives', () => {
    for (const family of families) {
      const over = conversation({ family, from: client, to: world, over: udp(1, 53) });
      expect(node.send(client, over.ask()).verdict).toBe('to stack');
      expect(masqueradeOf(node).leave(over.ask()).verdict).toBe('untouched');
    }
  });
});
