// SPDX-License-Identifier: Apache-2.0
// Services for pods whose sockets nobody sees: what is sent to a service goes to a backend, is judged as that, and what the
// backend answers comes from the service.
import { beforeEach, describe, expect, it } from '@jest/globals';
import { lbBackendState, lbSelection, type LbSelection } from '@weir/datapath-layout';
import { conversation, ipPacket, tcp, udp, type Transport } from '../node/conversation.ts';
import { masqueradeOf } from '../node/masquerade-node.ts';
import { marks } from '../node/packet-node.ts';
import { client, families, host, other, remotePod, server, world, type Family, type Party } from '../node/scene.ts';
import { servicesOf, type ServiceNode, type TestBackend } from '../node/service-node.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';
import type { PacketBuilder } from '../packet/packet-builder.ts';
import { parsePacket, type ParsedPacket } from '../packet/parse-packet.ts';
import { ethernetBytes, icmpType, icmpv6Type } from '../packet/protocols.ts';

const service: Party = {
  ...{ name: 'service', ipv4: '10.96.0.1', ipv6: 'fd00:10:96::1', identity: 2, place: 'network' },
};
const [servicePort, backendPort, clientPort] = [80, 8080, 40_000];

const kinds: { title: string; over: (from: number, to: number) => Transport }[] = [
  { title: 'TCP', over: tcp },
  { title: 'UDP', over: udp },
];
const checksum = (packet: ParsedPacket): string | undefined => (packet.tcp ?? packet.udp ?? packet.icmp)?.checksum;
/** All of a packet but its link and its TTL, which forwarding changes. */
const body = (packet: ParsedPacket): object => ({ ...packet, ethernet: 0, ip: { ...packet.ip, ttl: 0 } });
const bodyOf = (sent: PacketBuilder): object => body(parsePacket(sent.bytes()));

describePackets('services for packets', () => {
  const node = usePacketNode({ config: { masqueradeFirstPort: 20_000, masqueradePorts: 100 } });
  let services: ServiceNode;
  beforeEach(() => {
    services = servicesOf(node);
    services.reset();
  });
  const set = (...backends: readonly TestBackend[]): void =>
    services.set(1, { party: service, port: servicePort, backends });
  const at = (party: Party, state: TestBackend['state'] = lbBackendState.active): TestBackend => ({
    ...{ party, port: backendPort, state },
  });

  describe.each(families)('over %s', (family: Family) => {
    describe.each(kinds)('$title', ({ over }) => {
      /** What the client and the service say to each other, as the client sees it. */
      const asked = (from: Party = client, port = clientPort) =>
        conversation({ family, from, to: service, over: over(port, servicePort) });
      /** The same as a backend sees it. */
      const seen = (backend: Party, from: Party = client, port = clientPort) =>
        conversation({ family, from, to: backend, over: over(port, backendPort) });

      it('go to a backend, and its answers come from the service', () => {
        set(at(server));
        for (const flags of ['SYN', 'ACK']) {
          const sent = node.send(client, asked().ask(flags));
          expect(sent.verdict).toBe('to server');
          expect(body(sent.packet)).toEqual(bodyOf(seen(server).ask(flags)));
          const back = node.send(server, seen(server).answer(`${flags} ACK`.replace('ACK ACK', 'ACK')));
          expect(back.verdict).toBe('to client');
          expect(body(back.packet)).toEqual(bodyOf(asked().answer(`${flags} ACK`.replace('ACK ACK', 'ACK'))));
        }
        expect(node.flows()).toMatchObject([
          { from: 'client', to: 'server', ports: [clientPort, backendPort], asked: { packets: 2 } },
        ]);
      });

      it('go to a backend on another node, on the host and outside, which answers as the service', () => {
        const places: [Party, string, Party][] = [
          [remotePod, 'to stack', remotePod],
          [host, 'to stack', host],
        ];
        for (const [backend, verdict, from] of places) {
          set(at(backend));
          const sent = node.send(client, asked().ask('SYN'));
          expect(sent.verdict).toBe(verdict);
          expect(body(sent.packet)).toEqual(bodyOf(seen(backend).ask('SYN')));
          const back = node.send(from, seen(backend).answer('SYN ACK'));
          expect(back.verdict).toBe('to client');
          expect(body(back.packet)).toEqual(bodyOf(asked().answer('SYN ACK')));
        }
      });

      it('go out in the node’s name where the backend is outside', () => {
        const masquerade = masqueradeOf(node);
        masquerade.reset();
        set(at(world));
        const sent = node.send(client, asked().ask('SYN'));
        expect(sent.verdict).toBe('to outside');
        const { packet } = masquerade.leave(sent.bytes);
        expect(packet.ip).toMatchObject({ source: host[family], destination: world[family] });
        const answer = conversation({
          ...{ family, from: { ...host, place: 'network' }, to: world },
          over: over(packet.ports!.source, backendPort),
        }).answer('SYN ACK');
        const back = node.send(world, answer);
        expect(back.verdict).toBe('to client');
        expect(body(back.packet)).toEqual(bodyOf(asked().answer('SYN ACK')));
      });

      it('are judged by the policy of the backend, on the port of the backend', () => {
        set(at(server));
        const protocol = over === tcp ? 6 : 17;
        node.setPolicy(server, { ingress: [{ peer: client, protocol, port: backendPort }] });
        expect(node.send(client, asked().ask('SYN')).verdict).toBe('to server');
        expect(node.send(other, asked(other).ask('SYN')).verdict).toBe('dropped: policyDenied ingress');
        node.setPolicy(server, { ingress: [{ peer: client, protocol, port: servicePort }] });
        expect(node.send(client, asked().ask()).verdict).toBe('dropped: policyDenied ingress');
        node.setPolicy(server, {});
        node.setPolicy(client, { egress: [{ peer: server, protocol, port: backendPort }] });
        expect(node.send(client, asked().ask()).verdict).toBe('to server');
      });

      it('are dropped where there is no backend, with the reason', async () => {
        set();
        expect(node.send(client, asked().ask('SYN')).verdict).toBe('dropped: noServiceBackend egress');
        set(at(server, lbBackendState.maintenance));
        expect(node.send(client, asked().ask('SYN')).verdict).toBe('dropped: noServiceBackend egress');
        expect(await node.events()).toContainEqual(
          expect.objectContaining({ type: 'drop', reason: 'noServiceBackend', from: 'client' }),
        );
        expect(services.flowCount()).toBe(0);
      });

      it('go to each backend, and stay with one as long as the flow lives', () => {
        const backends = [server, other];
        set(...backends.map((party) => at(party)));
        const chosen = Array.from({ length: 40 }, (_, index) => {
          const port = clientPort + index;
          const verdicts = ['SYN', 'ACK', 'ACK'].map(
            (flags) => node.send(client, asked(client, port).ask(flags)).verdict,
          );
          expect(new Set(verdicts).size).toBe(1);
          return verdicts[0];
        });
        // All 40 to one of two: once in 5 · 10¹¹ runs.
        expect(new Set(chosen)).toEqual(new Set(['to server', 'to other']));
      });

      it('stay with the backend that drains, while new ones go elsewhere', () => {
        set(at(server));
        node.send(client, asked().ask('SYN'));
        for (const state of [lbBackendState.terminating, lbBackendState.maintenance]) {
          set(at(server, state), at(other));
          expect(node.send(client, asked().ask()).verdict).toBe('to server');
          expect(node.send(client, asked(client, 41_000 + state).ask('SYN')).verdict).toBe('to other');
        }
      });

      it('stay with the backend of the client where the service says so', () => {
        const backends = [server, other].map((party) => at(party));
        services.set(1, { party: service, port: servicePort, backends, affinityMs: 60_000 });
        const verdicts = Array.from(
          { length: 20 },
          (_, index) => node.send(client, asked(client, clientPort + index).ask('SYN')).verdict,
        );
        expect(new Set(verdicts).size).toBe(1);
      });

      it('go to one backend after the other, or by Maglev to the same one whoever forgets', () => {
        const backends = [server, other].map((party) => at(party));
        const choose = (selection: LbSelection, first = clientPort): string[] => {
          services.set(1, { party: service, port: servicePort, backends, selection });
          return Array.from(
            { length: 40 },
            (_, index) => node.send(client, asked(client, first + index).ask('SYN')).verdict,
          );
        };
        const round = choose(lbSelection.roundRobin);
        expect(round.filter((verdict, index) => index > 0 && verdict === round[index - 1])).toEqual([]);
        const chosen = choose(lbSelection.maglev, clientPort + 100);
        expect(new Set(chosen).size).toBe(2);
        services.forgetFlows();
        expect(choose(lbSelection.maglev, clientPort + 100)).toEqual(chosen);
      });

      it('are given back to the pod that is its own backend, whatever policy says, from the service', () => {
        set(at(client));
        node.setPolicy(client, { ingress: [], egress: [] });
        const asService: Party = { ...service };
        for (const flags of ['SYN', 'ACK']) {
          const sent = node.send(client, asked().ask(flags));
          expect(sent.verdict).toBe('to client');
          const inwards = conversation({ family, from: asService, to: client, over: over(clientPort, backendPort) });
          expect(body(sent.packet)).toEqual(bodyOf(inwards.ask(flags)));
          const answer = { family, from: client, to: asService, over: over(backendPort, clientPort) };
          const back = node.send(client, conversation(answer).ask('ACK'));
          expect(back.verdict).toBe('to client');
          expect(body(back.packet)).toEqual(bodyOf(asked().answer('ACK')));
        }
        expect(node.flows()).toEqual([]);
      });

      it('are packets to somebody else once the service is gone, but what runs over TCP goes on', () => {
        set(at(server));
        node.send(client, asked().ask('SYN'));
        services.remove(1);
        const ongoing = node.send(client, asked().ask());
        expect(ongoing.verdict).toBe(over === tcp ? 'to server' : 'to outside');
        expect(node.send(client, asked(client, 41_000).ask('SYN')).verdict).toBe('to outside');
      });

      it('follow a service that comes while they run, unless they have a connection to lose', () => {
        expect(node.send(client, asked().ask('SYN')).verdict).toBe('to outside');
        set(at(server));
        node.bump();
        expect(node.send(client, asked().ask()).verdict).toBe(over === tcp ? 'to outside' : 'to server');
      });

      it('drop an answer whose question is forgotten, so that the client does not see the backend', () => {
        set(at(server));
        node.send(client, asked().ask('SYN'));
        services.forgetFlows();
        expect(node.send(server, seen(server).answer('SYN ACK')).verdict).toBe('dropped: natNoMapping egress');
      });

      it('answer with errors about what the client sent to the service', () => {
        set(at(server));
        node.send(client, asked().ask('SYN'));
        const unreachable = family === 'ipv4' ? icmpType.unreachable : icmpv6Type.unreachable;
        const errorOf = (quoted: PacketBuilder, ends: { from: Party; to: Party }): PacketBuilder => {
          const link = ipPacket(family, ends);
          const message = { type: unreachable, code: 3 };
          return (family === 'ipv4' ? link.icmp(message) : link.icmpv6(message)).quoting(
            quoted.bytes(),
            quoted.bytes().length - ethernetBytes,
          );
        };
        const back = node.send(server, errorOf(seen(server).ask('SYN'), { from: server, to: client }));
        expect(back.verdict).toBe('to client');
        expect(back.packet.icmp?.checksum).toBe('right');
        const expected = errorOf(asked().ask('SYN'), { from: service, to: client });
        expect(payloadOf(back.bytes, family)).toEqual(payloadOf(expected.bytes(), family));
        expect(back.packet.ip).toMatchObject({ source: service[family], destination: client[family] });
        // A router on the way speaks for itself.
        const routed = node.send(world, errorOf(seen(server).ask('SYN'), { from: world, to: client }));
        expect(routed.packet.ip).toMatchObject({ source: world[family], destination: client[family] });
        expect(payloadOf(routed.bytes, family)).toEqual(payloadOf(expected.bytes(), family));
        // And what the client says about an answer of the service is for the backend.
        node.send(server, seen(server).answer('SYN ACK'));
        const about = node.send(client, errorOf(asked().answer('SYN ACK'), { from: client, to: service }));
        expect(about.verdict).toBe('to server');
        expect(about.packet.icmp?.checksum).toBe('right');
        const there = errorOf(seen(server).answer('SYN ACK'), { from: client, to: server });
        expect(payloadOf(about.bytes, family)).toEqual(payloadOf(there.bytes(), family));
      });
    });

    const datagrams = (from: Party, to: Party, ports: readonly [number, number]): Transport | PacketBuilder =>
      conversation({ family, from, to, over: udp(...ports) })
        .ask()
        .payload('x'.repeat(100));

    it('translate fragments, those that follow by what the first one said, in both directions', () => {
      set(at(server));
      const bodies = (frames: readonly Uint8Array[]): string[] =>
        frames.map((frame) => {
          const copy = Buffer.from(frame.subarray(ethernetBytes));
          // The TTL, and the sum over it.
          if (family === 'ipv4') copy.fill(0, 8, 12).fill(0, 8, 9);
          else copy[7] = 0;
          return copy.toString('hex');
        });
      const there = (from: Party, to: Party, ports: readonly [number, number]): Uint8Array[] =>
        fragmentPacket((datagrams(from, to, ports) as PacketBuilder).bytes(), { identification: 9, size: 40 });
      const sent = there(client, service, [clientPort, servicePort]).map((frame) => node.send(client, frame));
      expect(new Set(sent.map(({ verdict }) => verdict))).toEqual(new Set(['to server']));
      expect(bodies(sent.map(({ bytes }) => bytes))).toEqual(
        bodies(there(client, server, [clientPort, backendPort])).map((hex) => hex),
      );
      const back = there(server, client, [backendPort, clientPort]).map((frame) => node.send(server, frame));
      expect(new Set(back.map(({ verdict }) => verdict))).toEqual(new Set(['to client']));
      expect(bodies(back.map(({ bytes }) => bytes))).toEqual(bodies(there(service, client, [servicePort, clientPort])));
    });

    it('move datagrams to another backend when theirs is gone, does not answer, or after a while', () => {
      const asks = (): string =>
        node.send(client, conversation({ family, from: client, to: service, over: udp(clientPort, servicePort) }).ask())
          .verdict;
      set(at(server));
      expect(asks()).toBe('to server');
      set(at(server, lbBackendState.quarantined), at(other));
      expect(asks()).toBe('to other');
      services.pass(100_000);
      node.pass(100_000);
      set(at(server), at(other, lbBackendState.terminating));
      expect(asks()).toBe('to server');
    });

    it('leave a datagram without a checksum without one', () => {
      set(at(server));
      const frame = Buffer.from(
        conversation({ family, from: client, to: service, over: udp(clientPort, servicePort) })
          .ask()
          .bytes(),
      );
      const offset = ethernetBytes + (family === 'ipv4' ? 20 : 40) + 6;
      frame.writeUInt16BE(0, offset);
      expect(Buffer.from(node.send(client, frame).bytes).readUInt16BE(offset)).toBe(0);
    });

    it('hand connections to the proxy as those to the backend, and its answers come from the service', () => {
      set(at(server));
      node.setPolicy(client, {
        egress: [{ peer: server, protocol: 6, port: backendPort, verdict: 'redirect', ruleSet: 7 }],
      });
      const asked = conversation({ family, from: client, to: service, over: tcp(clientPort, servicePort) });
      // There is no proxy in a packet test: that it is wanted says where the connection was going.
      expect(node.send(client, asked.ask('SYN')).verdict).toBe('dropped: proxyNotListening egress');
      const seen = conversation({
        ...{ family, from: client, to: { ...server, place: 'host' } as Party },
        over: tcp(clientPort, backendPort),
      });
      const back = node.send({ ...server, place: 'host' } as Party, seen.answer('SYN ACK'), { mark: marks.clientLeg });
      expect(back.verdict).toBe('to client');
      expect(body(back.packet)).toEqual(bodyOf(asked.answer('SYN ACK')));
    });

    it('are for pods: what others send to the address of a service is left as it is', () => {
      set(at(server));
      const asked = (from: Party) => conversation({ family, from, to: service, over: tcp(1, servicePort) }).ask('SYN');
      expect(node.send(world, asked(world)).verdict).toBe('untouched');
      expect(checksum(node.send(client, asked(client)).packet)).toBe('right');
    });
  });
});

/** What is behind the IP header, without the link. */
function payloadOf(bytes: Uint8Array, family: Family): string {
  const header = ethernetBytes + (family === 'ipv4' ? 20 : 40);
  const copy = Buffer.from(bytes.subarray(header));
  // The sum over it is looked at by itself.
  if (family === 'ipv6') copy.writeUInt16BE(0, 2);
  return copy.toString('hex');
}
