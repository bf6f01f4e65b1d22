// SPDX-License-Identifier: Apache-2.0
// Services for callers from outside: a backend that is a pod of the node sees the caller, one elsewhere the node, and the
// caller the service.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { conversation, ipPacket, tcp, udp, type Transport } from '../node/conversation.ts';
import { masqueradeOf, type MasqueradeNode } from '../node/masquerade-node.ts';
import { markOfService, markToBackend } from '../node/outcome.ts';
import { client, families, host, office, remotePod, server, world, type Family, type Party } from '../node/scene.ts';
import { servicesOf, type ServiceNode } from '../node/service-node.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';
import type { PacketBuilder } from '../packet/packet-builder.ts';
import { parsePacket, type ParsedPacket } from '../packet/parse-packet.ts';
import { ethernetBytes, icmpType, icmpv6Type } from '../packet/protocols.ts';

const [nodePort, backendPort, callerPort] = [30_080, 8080, 40_000];
const ports = { first: 20_000, count: 16 } as const;
const config = { masqueradeFirstPort: ports.first, masqueradePorts: ports.count };

const kinds: { title: string; over: (from: number, to: number) => Transport }[] = [
  { title: 'TCP', over: tcp },
  { title: 'UDP', over: udp },
];
/** All of a packet but its link and its TTL, which forwarding changes. */
const body = (packet: ParsedPacket): object => ({ ...packet, ethernet: 0, ip: { ...packet.ip, ttl: 0 } });
const bodyOf = (sent: PacketBuilder): object => body(parsePacket(sent.bytes()));

describePackets('services for callers from outside', () => {
  const node = usePacketNode({ config });
  let services: ServiceNode;
  let wire: MasqueradeNode;
  beforeEach(() => {
    services = servicesOf(node);
    wire = masqueradeOf(node);
    services.reset();
    wire.reset();
  });
  const serve = (...backends: readonly Party[]): void =>
    services.set(1, {
      ...{ party: host, port: nodePort, isExternal: true },
      backends: backends.map((party) => ({ party, port: backendPort })),
    });
  const ofService = (frame: Uint8Array) => wire.leave(frame, { mark: markOfService });
  const toBackend = (frame: Uint8Array) => wire.leave(frame, { mark: markToBackend });

  describe.each(families)('over %s', (family: Family) => {
    const between = (from: Party, to: Party, over: Transport) => conversation({ family, from, to, over });

    describe.each(kinds)('$title', ({ over }) => {
      const asked = (from: Party = world) => between(from, host, over(callerPort, nodePort));
      const seen = (backend: Party, from: Party = world) => between(from, backend, over(callerPort, backendPort));

      it('reach a pod of the node, which sees them, and get its answers from the service', () => {
        serve(server);
        for (const flags of ['SYN', 'ACK']) {
          const sent = node.send(world, asked().ask(flags));
          expect(sent.verdict).toBe('to server');
          expect(body(sent.packet)).toEqual(bodyOf(seen(server).ask(flags)));
          const back = node.send(server, seen(server).answer('ACK'));
          expect(back.verdict).toBe('to caller');
          const left = ofService(back.bytes);
          expect(left.verdict).toBe('masqueraded');
          expect(body(left.packet)).toEqual(bodyOf(asked().answer('ACK')));
        }
        expect(node.flows()).toMatchObject([{ from: 'world', to: 'server', ports: [callerPort, backendPort] }]);
      });

      it('reach a pod elsewhere, which sees the node, and get its answers from the service', () => {
        serve(remotePod);
        for (const flags of ['SYN', 'ACK']) {
          const sent = node.send(world, asked().ask(flags));
          expect(sent.verdict).toBe('to backend');
          const left = toBackend(sent.bytes);
          const used = left.packet.ports?.source ?? 0;
          expect(used >= ports.first && used < ports.first + ports.count).toBe(true);
          const outside: Party = { ...host, place: 'network' };
          const there = between(outside, remotePod, over(used, backendPort));
          expect(body(left.packet)).toEqual(bodyOf(there.ask(flags)));
          const back = node.send(remotePod, there.answer('ACK'));
          expect(back.verdict).toBe('to caller');
          expect(body(ofService(back.bytes).packet)).toEqual(bodyOf(asked().answer('ACK')));
        }
        expect(wire.mappings()).toHaveLength(1);
        expect(node.flows()).toEqual([]);
      });

      it('are judged by the policy of the backend that is here, as who they are', () => {
        serve(server);
        node.setPolicy(server, { ingress: [{ peer: office, protocol: over === tcp ? 6 : 17, port: backendPort }] });
        expect(node.send(world, asked().ask('SYN')).verdict).toBe('dropped: policyDenied ingress');
        expect(node.send(office, asked(office).ask('SYN')).verdict).toBe('to server');
      });

      it('are dropped where there is no backend, or one that nobody could answer for', () => {
        serve();
        expect(node.send(world, asked().ask('SYN')).verdict).toBe('dropped: noServiceBackend ingress');
        serve(host);
        expect(node.send(world, asked().ask('SYN')).verdict).toBe('dropped: unroutableIp ingress');
      });

      it('do not reach what is for callers of the node alone, or is no longer there', () => {
        services.set(1, { party: host, port: nodePort, backends: [{ party: server, port: backendPort }] });
        expect(node.send(world, asked().ask('SYN')).verdict).toBe('untouched');
        serve(server);
        services.remove(1);
        expect(node.send(world, asked().ask('SYN')).verdict).toBe('untouched');
      });

      it('are not who they are not', () => {
        const forged: Party = { ...client, place: 'network' };
        for (const backend of [server, remotePod]) {
          serve(backend);
          expect(node.send(forged, asked(forged).ask('SYN')).verdict).toBe('dropped: invalidSourceIp ingress');
        }
      });

      it('are not answered by the service when nobody knows any more what they asked', () => {
        serve(server);
        node.send(world, asked().ask('SYN'));
        const back = node.send(server, seen(server).answer('ACK'));
        services.forgetFlows();
        expect(ofService(back.bytes).verdict).toBe('dropped: natNoMapping egress');
      });

      it.each(['here', 'elsewhere'] as const)('hear of errors about what they sent to a backend %s', (where) => {
        const backend = where === 'here' ? server : remotePod;
        serve(backend);
        const sent = node.send(world, asked().ask('SYN'));
        const unreachable = family === 'ipv4' ? icmpType.unreachable : icmpv6Type.unreachable;
        const errorOf = (quoted: Uint8Array, ends: { from: Party; to: Party }): PacketBuilder => {
          const link = ipPacket(family, ends);
          const message = { type: unreachable, code: 3 };
          const error = family === 'ipv4' ? link.icmp(message) : link.icmpv6(message);
          return error.quoting(quoted, quoted.length - ethernetBytes);
        };
        const payload = (bytes: Uint8Array): string =>
          Buffer.from(bytes.subarray(ethernetBytes + (family === 'ipv4' ? 20 : 40) + 8)).toString('hex');
        const quoted = where === 'here' ? seen(server).ask('SYN').bytes() : toBackend(sent.bytes).bytes;
        const to = where === 'here' ? world : host;
        const back = node.send(backend, errorOf(quoted, { from: backend, to }));
        expect(back.verdict).toBe('to caller');
        const left = ofService(back.bytes);
        expect(left.packet).toMatchObject({
          ip: { source: host[family], destination: world[family] },
          icmp: { checksum: 'right' },
        });
        expect(payload(left.bytes)).toBe(
          payload(errorOf(asked().ask('SYN').bytes(), { from: host, to: world }).bytes()),
        );
        // What the caller says about an answer is for the backend.
        const about = node.send(world, errorOf(asked().answer('ACK').bytes(), { from: world, to: host }));
        expect(about.verdict).toBe(where === 'here' ? 'to server' : 'to backend');
        expect(about.packet).toMatchObject({ ip: { destination: backend[family] }, icmp: { checksum: 'right' } });
        const expected = errorOf(seen(backend).answer('ACK').bytes(), { from: world, to: backend });
        expect(payload(about.bytes)).toBe(payload(expected.bytes()));
      });
    });

    it('are the host’s own where nobody knows their connection', () => {
      serve(server);
      expect(node.send(world, between(world, host, tcp(443, nodePort)).ask('ACK')).verdict).toBe('untouched');
    });

    it('may send in fragments, and get answers in them', () => {
      const long = 'x'.repeat(100);
      const cut = (frame: PacketBuilder): Uint8Array[] =>
        fragmentPacket(frame.payload(long).bytes(), { identification: 9, size: 40 });
      for (const backend of [server, remotePod]) {
        serve(backend);
        const sent = cut(between(world, host, udp(callerPort, nodePort)).ask()).map((frame) => node.send(world, frame));
        const isHere = backend === server;
        expect(new Set(sent.map(({ verdict }) => verdict))).toEqual(new Set([isHere ? 'to server' : 'to backend']));
        const arrived = isHere ? sent : sent.map(({ bytes }) => toBackend(bytes));
        const [first] = arrived;
        const from = isHere ? world : ({ ...host, place: 'network' } as Party);
        expect(arrived.map(({ packet }) => [packet.ip?.source, packet.ip?.destination])).toEqual(
          arrived.map(() => [from[family], backend[family]]),
        );
        const there = between(from, backend, udp(first!.packet.ports!.source, backendPort));
        const back = cut(there.answer()).map((frame) => node.send(backend, frame));
        expect(new Set(back.map(({ verdict }) => verdict))).toEqual(new Set(['to caller']));
        const left = back.map(({ bytes }) => ofService(bytes));
        expect(left.map(({ packet }) => [packet.ip?.source, packet.ip?.destination])).toEqual(
          left.map(() => [host[family], world[family]]),
        );
        expect(left[0]!.packet.ports).toEqual({ source: nodePort, destination: callerPort });
        services.forgetFlows();
      }
    });
  });
});

describePackets('services for callers from outside, with an overlay', () => {
  const node = usePacketNode({ config: { ...config, overlayIfindex: 77 } });

  it.each(families)(
    'reach a pod of another node through it, as the node, and nobody answers in its name, over %s',
    (family) => {
      const [services, wire] = [servicesOf(node), masqueradeOf(node)];
      services.reset();
      wire.reset();
      node.setRemote(remotePod, { number: 5, address: '192.0.2.5' });
      services.set(1, {
        ...{ party: host, port: nodePort, isExternal: true },
        backends: [{ party: remotePod, port: backendPort }],
      });
      const asked = conversation({ family, from: world, to: host, over: tcp(callerPort, nodePort) });
      const sent = node.send(world, asked.ask('SYN'));
      expect(sent.verdict).toBe('to overlay');
      expect(sent.packet.ip).toMatchObject({ source: host[family], destination: remotePod[family] });
      const there = conversation({
        ...{ family, from: { ...host, place: 'network' } as Party, to: remotePod },
        over: tcp(sent.packet.ports!.source, backendPort),
      });
      // Its answer comes out of the overlay, too, which only a real device can show.
      expect(node.send(remotePod, there.answer('SYN ACK')).verdict).toBe('dropped: invalidSourceIp ingress');
    },
  );
});

describePackets('services for callers from outside, without masquerading', () => {
  const node = usePacketNode();

  it('reach pods of the node, and no others', () => {
    const services = servicesOf(node);
    services.reset();
    for (const [backend, verdict] of [
      [server, 'to server'],
      [remotePod, 'dropped: unroutableIp ingress'],
    ] as const) {
      services.set(1, {
        ...{ party: host, port: nodePort, isExternal: true },
        backends: [{ party: backend, port: backendPort }],
      });
      const asked = conversation({ family: 'ipv4', from: world, to: host, over: tcp(callerPort, nodePort) });
      expect(node.send(world, asked.ask('SYN')).verdict).toBe(verdict);
    }
  });
});
