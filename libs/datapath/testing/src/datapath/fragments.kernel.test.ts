// SPDX-License-Identifier: Apache-2.0
// Only the first fragment of a datagram has its ports: the others are judged by what it said.
import { describe, expect, it } from '@jest/globals';
import { conversation, echo, ipPacket, tcp, udp, type Transport } from '../node/conversation.ts';
import { client, families, gatewayMac, other, server, world, type Family, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';
import { packet } from '../packet/packet-builder.ts';
import { ipProtocol } from '../packet/protocols.ts';

const long = 'x'.repeat(100);

describePackets('fragments', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const fragments = (
      over: Transport,
      options: { from?: Party; to?: Party; identification?: number; size?: number } = {},
    ) => {
      const { from = client, to = server, identification = 7, size = 40 } = options;
      const whole = conversation({ family, from, to, over }).ask('SYN').payload(long).bytes();
      return fragmentPacket(whole, { identification, size });
    };
    const verdicts = (frames: readonly Uint8Array[], from: Party = client) =>
      frames.map((frame) => node.send(from, frame).verdict);

    it.each([
      { title: 'TCP', over: tcp(40000, 80) },
      { title: 'UDP', over: udp(40000, 80) },
      { title: 'an echo request', over: echo(80) },
    ])('of $title are one flow', ({ over }) => {
      const all = fragments(over);
      expect(all.length).toBeGreaterThan(2);
      expect(new Set(verdicts(all))).toEqual(new Set(['to server']));
      expect(node.flows()).toMatchObject([{ from: 'client', to: 'server', asked: { packets: all.length } }]);
    });

    it('are judged by the port that the first one has', () => {
      node.setPolicy(server, { ingress: [{ protocol: 17, port: 53 }] });
      expect(new Set(verdicts(fragments(udp(40000, 53))))).toEqual(new Set(['to server']));
      const denied = fragments(udp(40000, 54), { identification: 8 });
      expect(verdicts(denied)[0]).toBe('dropped: policyDenied ingress');
      expect(verdicts(denied.slice(1)).every((verdict) => verdict.startsWith('dropped: '))).toBe(true);
    });

    it('that come before their first are dropped', () => {
      const [first, second, third] = fragments(udp(40000, 53));
      expect(verdicts([third!, second!])).toEqual(Array(2).fill('dropped: firstFragmentMissing egress'));
      expect(verdicts([first!, third!, second!])).toEqual(Array(3).fill('to server'));
    });

    it('of another datagram, sender, receiver or protocol are not theirs', () => {
      node.send(client, fragments(udp(40000, 53))[0]!);
      const missing = 'dropped: firstFragmentMissing egress';
      expect(node.send(client, fragments(udp(40000, 53), { identification: 8 })[1]!).verdict).toBe(missing);
      expect(node.send(other, fragments(udp(40000, 53), { from: other })[1]!).verdict).toBe(missing);
      expect(node.send(client, fragments(udp(40000, 53), { to: other })[1]!).verdict).toBe(missing);
      expect(node.send(client, fragments(tcp(40000, 53))[1]!).verdict).toBe(missing);
    });

    it('take an identification of 32 bits for what it is in IPv6, of 16 in IPv4', () => {
      const identification = family === 'ipv6' ? 0x12345678 : 0x5678;
      node.send(client, fragments(udp(40000, 53), { identification })[0]!);
      const near = fragments(udp(40000, 53), {
        identification: identification ^ (family === 'ipv6' ? 0x10000000 : 0x1000),
      });
      expect(node.send(client, near[1]!).verdict).toBe('dropped: firstFragmentMissing egress');
      expect(node.send(client, fragments(udp(40000, 53), { identification })[1]!).verdict).toBe('to server');
    });

    it.each([
      { title: 'TCP', over: tcp(40000, 80), size: 8 },
      { title: 'an echo request without its data', over: echo(3), size: 8 },
    ])('of $title whose first is tiny are dropped unless all that is judged is in it', ({ over, size }) => {
      const isWhole = over.kind === 'echo';
      const [first] = fragments(over, { size });
      expect(node.send(client, first!).verdict).toBe(isWhole ? 'to server' : 'dropped: ctTruncated egress');
    });

    it('are not judged by bytes behind the end that the IP header gives', () => {
      // The link's padding looks like the rest of a TCP header, with flags of the sender's choice.
      const [first] = fragments(tcp(40000, 80), { size: 8 });
      const padded = Buffer.concat([first!, Buffer.from('00000000501000000000000000000000', 'hex')]);
      expect(node.send(client, padded).verdict).toBe('dropped: ctTruncated egress');
      expect(node.flows()).toEqual([]);
    });

    it('from outside are put together in the same way', () => {
      const all = fragments(udp(40000, 53), { from: world });
      expect(verdicts(all.slice(1), world)).toEqual(
        Array(all.length - 1).fill('dropped: firstFragmentMissing ingress'),
      );
      expect(new Set(verdicts(all, world))).toEqual(new Set(['to server']));
    });

    it('of what is not for a pod are left to the stack, and not remembered', () => {
      const all = fragments(udp(40000, 53), { from: world, to: { ...world, ipv4: '192.0.2.1', ipv6: '2001:db8::1' } });
      expect(new Set(verdicts(all, world))).toEqual(new Set(['untouched']));
      expect(node.fragmentCount()).toBe(0);
    });

    it('in another’s name are not remembered', () => {
      const link = packet().ethernet({ source: client.mac, destination: gatewayMac });
      const forged = forgedFirst(family, link);
      expect(node.send(client, forged).verdict).toBe('dropped: invalidSourceIp egress');
      const [fromOutside] = fragments(udp(40000, 53), { from: other });
      expect(node.send(world, fromOutside!).verdict).toBe('dropped: invalidSourceIp ingress');
      expect(node.fragmentCount()).toBe(0);
    });

    it('belong to the flow of their datagram when the receiver answers', () => {
      const talk = conversation({ family, from: client, to: server, over: udp(40000, 53) });
      node.setPolicy(client, { ingress: [] });
      node.send(client, talk.ask());
      const answer = fragmentPacket(talk.answer().payload(long).bytes(), { identification: 9, size: 48 });
      expect(new Set(verdicts(answer, server))).toEqual(new Set(['to client']));
    });
  });

  function forgedFirst(family: Family, link: ReturnType<typeof packet>): Uint8Array {
    const ends = { source: other[family], destination: server[family] };
    const whole = family === 'ipv4' ? link.ipv4(ends) : link.ipv6(ends);
    const frame = whole.udp({ sourcePort: 1, destinationPort: 53 }).payload(long).bytes();
    return fragmentPacket(frame, { identification: 7, size: 40 })[0]!;
  }

  describe('over ipv6', () => {
    const network = ipPacket('ipv6', { from: client, to: server });

    it('that hide the protocol behind an extension header are refused', () => {
      // A refusal of one port must not be got round by a header that only the receiver walks over.
      node.setPolicy(server, { ingress: [{}, { protocol: ipProtocol.tcp, port: 22, verdict: 'refuse' }] });
      for (const more of [true, false]) {
        const offset = more ? 0 : 24;
        const hidden = network.fragment({ identification: 1, more, offset }).destinationOptions();
        const frame = hidden.tcp({ sourcePort: 40000, destinationPort: 22, flags: 'SYN' });
        expect(node.send(client, frame).verdict).toBe('dropped: invalidExtensionHeader egress');
      }
    });

    it('that cut nothing off are whole packets (RFC 6946)', () => {
      node.setPolicy(server, { ingress: [{ protocol: ipProtocol.tcp, port: 80 }] });
      const atomic = network.fragment({ identification: 1 });
      const to = (destinationPort: number) => atomic.tcp({ sourcePort: 40000, destinationPort, flags: 'SYN' });
      expect(node.send(client, to(80)).verdict).toBe('to server');
      expect(node.send(client, to(81)).verdict).toBe('dropped: policyDenied ingress');
      expect(node.fragmentCount()).toBe(0);
    });
  });
});
