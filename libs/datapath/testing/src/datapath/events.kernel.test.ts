// SPDX-License-Identifier: Apache-2.0
// What the programs tell: one event for each verdict, one for each drop, some on the way, at a bounded rate. And what they
// count, which is everything.
import { cpus } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { direction, dropReason, event } from '@weir/datapath-layout';
import { conversation, ipPacket, tcp, udp } from '../node/conversation.ts';
import { marks } from '../node/packet-node.ts';
import {
  client,
  families,
  host,
  hostIfindex,
  office,
  server,
  uplinkIfindex,
  world,
  type Party,
} from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { icmpv6Type } from '../packet/protocols.ts';

const forwarded = { reason: 'forwarded' };

describePackets('events', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const between = (from: Party, to: Party, port = 80) => conversation({ family, from, to, over: tcp(40000, port) });
    const talk = between(client, server);

    it('tell of a verdict once for each flow, with all that led to it', async () => {
      node.setPolicy(client, { egress: [{ cookie: 11 }] });
      node.setPolicy(server, { ingress: [{ cookie: 12 }] });
      const frame = talk.ask('SYN').bytes();
      node.send(client, frame);
      node.send(server, talk.answer('SYN ACK'));
      node.send(client, talk.ask());
      const events = await node.events();
      expect(events).toMatchObject([
        {
          ...forwarded,
          type: 'policyVerdict',
          direction: 'egress',
          point: 'toEndpoint',
          from: 'client',
          to: 'server',
          flags: [],
          raw: {
            protocol: 6,
            tcpFlags: 2,
            sourcePort: 40000,
            destinationPort: 80,
            length: frame.length,
            ifindex: client.ifindex,
            sourceIdentity: client.identity,
            destinationIdentity: server.identity,
            sourceEndpoint: client.id,
            destinationEndpoint: server.id,
            egressCookie: 11,
            ingressCookie: 12,
          },
        },
      ]);
      const agoNs = Number(process.hrtime.bigint() - events[0]!.raw.timeNs);
      expect(agoNs).toBeGreaterThan(0);
      expect(agoNs).toBeLessThan(5e9);
    });

    it.each([
      { from: client, to: server, point: 'toEndpoint', way: 'egress', ifindex: client.ifindex },
      { from: client, to: host, point: 'toHost', way: 'egress', ifindex: client.ifindex },
      { from: client, to: world, point: 'toStack', way: 'egress', ifindex: client.ifindex },
      { from: host, to: client, point: 'toEndpoint', way: 'ingress', ifindex: hostIfindex },
      { from: world, to: client, point: 'toEndpoint', way: 'ingress', ifindex: uplinkIfindex },
    ])('say where a packet was seen and where it went: $from.name to $to.name', async (row) => {
      node.send(row.from, between(row.from, row.to).ask('SYN'));
      expect(await node.events()).toMatchObject([
        {
          type: 'policyVerdict',
          point: row.point,
          direction: row.way,
          raw: { ifindex: row.ifindex, sourceIdentity: row.from.identity, destinationIdentity: row.to.identity },
        },
      ]);
    });

    it('say that a flow goes to the proxy, and then that nobody was there', async () => {
      node.setPolicy(server, { ingress: [{ verdict: 'redirect', ruleSet: 7, cookie: 5 }] });
      node.send(client, talk.ask('SYN'));
      expect(await node.events()).toMatchObject([
        { ...forwarded, type: 'policyVerdict', point: 'toProxy', flags: ['redirected'], raw: { ingressCookie: 5 } },
        {
          type: 'drop',
          reason: 'proxyNotListening',
          direction: 'egress',
          flags: ['redirected'],
          raw: { ingressCookie: 5 },
        },
      ]);
    });

    it.each([
      { title: 'receiver', egress: {}, ingress: { verdict: 'redirect', ruleSet: 7 }, cookies: [0, 6] },
      { title: 'sender', egress: { verdict: 'redirect', ruleSet: 7 }, ingress: {}, cookies: [5, 0] },
    ] as const)(
      'name the rules of the $title that want the proxy, and no other, with every packet that it misses',
      async (row) => {
        node.setPolicy(client, { egress: [{ ...row.egress, cookie: 5 }] });
        node.setPolicy(server, { ingress: [{ ...row.ingress, cookie: 6 }] });
        node.send(client, talk.ask('SYN'));
        node.send(client, talk.ask('ACK'));
        const [egressCookie, ingressCookie] = row.cookies;
        const ends = { sourceIdentity: client.identity, destinationIdentity: server.identity };
        const raw = { ...ends, sourceEndpoint: client.id, destinationEndpoint: server.id, egressCookie, ingressCookie };
        const drop = { type: 'drop', reason: 'proxyNotListening', raw };
        expect((await node.events()).filter(({ type }) => type === 'drop')).toMatchObject([drop, drop]);
      },
    );

    it('tell of each packet of a denied flow, with both ends and the rules', async () => {
      node.setPolicy(server, { ingress: [{ verdict: 'refuse', cookie: 66 }] });
      node.send(client, talk.ask('SYN'));
      node.send(client, talk.ask('SYN'));
      const refusal = {
        type: 'drop',
        reason: 'policyDeny',
        direction: 'ingress',
        from: 'client',
        to: 'server',
        raw: {
          sourceIdentity: client.identity,
          destinationIdentity: server.identity,
          sourceEndpoint: client.id,
          destinationEndpoint: server.id,
          ingressCookie: 66,
          sourcePort: 40000,
          destinationPort: 80,
        },
      };
      expect(await node.events()).toMatchObject([refusal, refusal]);
    });

    it('tell of a denied answer with the ends as the packet has them', async () => {
      node.send(client, talk.ask('SYN'));
      node.setPolicy(server, { ingress: [] });
      node.send(server, talk.answer('SYN ACK'));
      expect((await node.events()).slice(1)).toMatchObject([
        {
          type: 'drop',
          reason: 'policyDenied',
          from: 'server',
          to: 'client',
          flags: ['reply'],
          raw: { sourceIdentity: server.identity, destinationEndpoint: client.id, sourcePort: 80 },
        },
      ]);
    });

    it('tell of the beginning of the end once', async () => {
      node.send(client, talk.ask('SYN'));
      node.send(server, talk.answer('SYN ACK'));
      node.send(client, talk.ask());
      node.send(server, talk.answer('FIN ACK'));
      node.send(client, talk.ask('FIN ACK'));
      node.send(server, talk.answer('RST'));
      expect(await node.events()).toMatchObject([
        { type: 'policyVerdict' },
        {
          ...forwarded,
          type: 'trace',
          from: 'server',
          to: 'client',
          flags: ['reply'],
          point: 'toEndpoint',
          raw: { tcpFlags: 0x11 },
        },
      ]);
    });

    it.each(['RST', 'RST ACK'])('tell of a %s', async (flags) => {
      node.send(client, talk.ask('SYN'));
      node.send(client, talk.ask(flags));
      expect((await node.events()).map(({ type }) => type)).toEqual(['policyVerdict', 'trace']);
    });

    it('tell of a long flow every five seconds, in the direction of the packet in hand', async () => {
      const query = conversation({ family, from: client, to: world, over: udp(40000, 53) });
      node.send(client, query.ask());
      node.pass(5000);
      node.send(client, query.ask());
      node.pass(400);
      node.send(world, query.answer());
      node.send(world, query.answer());
      expect(await node.events()).toMatchObject([
        { type: 'policyVerdict', from: 'client' },
        { ...forwarded, type: 'trace', from: 'world', to: 'client', flags: ['reply'], direction: 'ingress' },
      ]);
      node.pass(5400);
      node.send(client, query.ask());
      expect((await node.events()).slice(2)).toMatchObject([
        { type: 'trace', from: 'client', to: 'world', flags: [], direction: 'egress', point: 'toStack' },
      ]);
    });

    it('mark the proxy’s own leg as such', async () => {
      const leg = between(client, server);
      node.send(host, leg.ask('SYN'), { mark: marks.serverLeg });
      node.pass(6000);
      node.send(host, leg.ask(), { mark: marks.serverLeg });
      expect(await node.events()).toMatchObject([{ type: 'trace', flags: ['proxyLeg'], from: 'client', to: 'server' }]);
    });

    it('say who a malformed packet came from', async () => {
      node.send(
        client,
        ipPacket(family, { from: client, to: server })
          .udp({ sourcePort: 1, destinationPort: 2 })
          .truncated(family === 'ipv4' ? 36 : 56),
      );
      expect(await node.events()).toMatchObject([
        { type: 'drop', reason: 'ctTruncated', raw: { sourceIdentity: client.identity, sourceEndpoint: client.id } },
      ]);
    });
  });

  it('count everything, once, by reason and direction', () => {
    const { udp: datagram } = {
      udp: (from: Party, to: Party, port: number) => conversation({ family: 'ipv4', from, to, over: udp(40000, port) }),
    };
    const length = datagram(client, server, 1).ask().bytes().length;
    const multicast = { ...world, ipv4: '224.0.0.251' };
    const solicitation = ipPacket('ipv6', { from: client, to: { ...world, ipv6: 'ff02::2' } }).icmpv6({
      type: icmpv6Type.routerSolicitation,
    });
    node.setPolicy(server, { ingress: [{ peer: client }, { peer: office, verdict: 'refuse' }] });
    for (let times = 0; times < 3; times++) {
      node.send(client, datagram(client, server, 53).ask());
      node.send(server, datagram(client, server, 53).answer());
      node.send(world, datagram(world, server, 53).ask());
      node.send(office, datagram(office, server, 53).ask());
      node.send(client, datagram(client, multicast, 53).ask());
      node.send(client, solicitation);
      node.send(world, datagram(world, host, 53).ask());
      node.send(host, datagram(host, client, 53).ask());
    }
    const cell = (reason: number, way: number, packets = 3) => ({
      reason,
      direction: way,
      packets,
      bytes: packets * length,
    });
    expect(node.metrics()).toEqual([
      cell(dropReason.forwarded, direction.ingress),
      cell(dropReason.forwarded, direction.egress, 6),
      cell(dropReason.policyDenied, direction.ingress),
      cell(dropReason.policyDeny, direction.ingress),
      cell(dropReason.multicast, direction.egress),
      { ...cell(dropReason.neighbourProtocol, direction.egress), bytes: 3 * solicitation.bytes().length },
    ]);
  });

  it('do not tell of the daily noise of a link', async () => {
    const multicast = { ...world, ipv4: '224.0.0.251', ipv6: 'ff02::fb' };
    for (const family of families)
      node.send(client, conversation({ family, from: client, to: multicast, over: udp(5353, 5353) }).ask());
    expect(await node.events()).toEqual([]);
    expect(node.eventLoss()).toEqual({ rateLimited: 0, ringFull: 0 });
  });
});

describePackets('events at their limit', () => {
  const perInterval = 3;
  // What the programs reckon by: the kernel's monotonic clock in units of 2^30 ns, about a second.
  const interval = (): number => Number(process.hrtime.bigint() >> 30n);
  const node = usePacketNode({ config: { eventsPerInterval: perInterval } });

  it('that are above the rate are counted as lost, and no packet is', async () => {
    const total = 200;
    const first = interval();
    for (let number = 0; number < total; number++) {
      const talk = conversation({ family: 'ipv4', from: client, to: server, over: udp(number + 1, 53) });
      expect(node.send(client, talk.ask()).verdict).toBe('to server');
    }
    const intervals = interval() - first + 1;
    const events = await node.events();
    const { rateLimited, ringFull } = node.eventLoss();
    expect(ringFull).toBe(0);
    expect(events.length + rateLimited).toBe(total);
    // Each CPU has a share of its own.
    expect(events.length).toBeGreaterThanOrEqual(perInterval);
    expect(events.length).toBeLessThanOrEqual(perInterval * intervals * cpus().length);
    expect(rateLimited).toBeGreaterThan(0);
  });
});

describePackets('events without room', () => {
  const node = usePacketNode({ config: { eventsPerInterval: 100_000 }, sizes: { events: 4096 }, keepEvents: true });

  it('are counted as lost when the ring is full, and packets go on', () => {
    const total = 200;
    for (let number = 0; number < total; number++) {
      const talk = conversation({ family: 'ipv4', from: client, to: server, over: udp(number + 1, 53) });
      expect(node.send(client, talk.ask()).verdict).toBe('to server');
    }
    const { rateLimited, ringFull } = node.eventLoss();
    expect(rateLimited).toBe(0);
    // A record takes 8 bytes of header and the event.
    expect(total - ringFull).toBe(Math.floor(4096 / (8 + event.size)));
  });
});
