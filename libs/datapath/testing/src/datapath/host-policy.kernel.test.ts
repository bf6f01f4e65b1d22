// SPDX-License-Identifier: Apache-2.0
// The policy of the host itself: what it receives and sends through the uplinks, and what passes between it and pods.
import { release } from 'node:os';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { conversation, echo, ipPacket, tcp, udp, type Transport } from '../node/conversation.ts';
import type { PolicyRules } from '../node/policy-writer.ts';
import { client, families, host, office, remotePod, uplinkIfindex, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';

const ssh = { protocol: 6, port: 22 };
const own = { outwards: 'own' } as const;
const forwarded = { outwards: 'forwarded' } as const;

describePackets('the policy of the host', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const between = (from: Party, to: Party, over: Transport = tcp(40000, 22)) =>
      conversation({ family, from, to, over });
    /** What comes of the first packet of a flow, at the hook where it passes. */
    const ask = (from: Party, to: Party, over?: Transport): string =>
      node.send(from, between(from, to, over).ask('SYN'), from === host && to.place === 'network' ? own : {}).verdict;

    it('is asked by nobody while it enforces nothing', () => {
      expect([ask(world, host), ask(host, world)]).toEqual(['untouched', 'untouched']);
      expect(ask(client, host)).toBe('to stack');
      expect(node.flows()).toHaveLength(1);
    });

    it.each([
      { title: 'the world', from: world },
      { title: 'a range', from: office },
      { title: 'a pod of another node', from: remotePod },
      { title: 'a pod of this node', from: client },
    ])('lets in what it allows $title, on that port alone, and nobody else', ({ from }) => {
      node.setHostPolicy({ ingress: [{ ...ssh, peer: from }] });
      expect(ask(from, host)).toBe('to stack');
      expect(ask(from, host, tcp(40000, 23))).toBe('dropped: policyDenied ingress');
      expect(ask(from, host, udp(40000, 22))).toBe('dropped: policyDenied ingress');
      const others = [world, office, remotePod, client].filter((each) => each !== from);
      expect(others.map((each) => ask(each, host))).toEqual(others.map(() => 'dropped: policyDenied ingress'));
    });

    it.each([
      { title: 'the world', to: world, passes: 'to stack' },
      { title: 'a range', to: office, passes: 'to stack' },
      { title: 'a pod of another node', to: remotePod, passes: 'to stack' },
      { title: 'a pod of this node', to: client, passes: 'to client' },
    ])('lets out what it allows to $title, on that port alone', ({ to, passes }) => {
      node.setHostPolicy({ egress: [{ ...ssh, peer: to }] });
      expect(ask(host, to)).toBe(passes);
      expect(ask(host, to, tcp(40000, 23))).toBe('dropped: policyDenied egress');
    });

    it('lets answers pass against the other direction’s rules, and nothing else of the same peer', () => {
      node.setHostPolicy({ ingress: [ssh], egress: [] });
      const [talk, more] = [between(world, host), between(host, world, tcp(22, 40001))];
      node.send(world, talk.ask('SYN'));
      expect(node.send(host, talk.answer('SYN ACK'), own).verdict).toBe('to stack');
      expect(node.send(world, talk.ask('ACK')).verdict).toBe('to stack');
      expect(node.send(host, more.ask('SYN'), own).verdict).toBe('dropped: policyDenied egress');
      expect(node.flows()).toMatchObject([{ from: 'world', to: 'host', verdict: 'forwarded' }]);
    });

    it('lets answers of those in that it has called itself', () => {
      node.setHostPolicy({ ingress: [], egress: [{ protocol: 17, port: 53 }] });
      const talk = between(host, world, udp(40000, 53));
      node.send(host, talk.ask(), own);
      expect(node.send(world, talk.answer()).verdict).toBe('to stack');
      expect(node.send(world, between(world, host, udp(53, 40001)).ask()).verdict).toMatch(/policyDenied ingress/);
    });

    it('denies before it allows, names the rule, and counts for it', async () => {
      const deny = { ...ssh, peer: world, verdict: 'refuse' as const, cookie: 7, counter: 1 };
      node.setHostPolicy({ ingress: [deny, { cookie: 8, counter: 2 }] });
      expect([ask(world, host), ask(office, host)]).toEqual(['dropped: policyDeny ingress', 'to stack']);
      expect([1, 2].map((counter) => node.ruleTraffic(counter).packets)).toEqual([1, 1]);
      expect(await node.events()).toMatchObject([
        { type: 'drop', reason: 'policyDeny', direction: 'ingress', raw: { destinationIdentity: 1, ingressCookie: 7 } },
        { type: 'policyVerdict', direction: 'ingress', point: 'toHost', raw: { ingressCookie: 8 } },
      ]);
    });

    it('says where what goes out was seen', async () => {
      node.setHostPolicy({ egress: [ssh] });
      ask(host, world);
      expect(await node.events()).toMatchObject([
        { type: 'policyVerdict', direction: 'egress', point: 'toNetwork', raw: { sourceIdentity: 1 } },
      ]);
    });

    it('in audit mode lets through what it denies, and says so', async () => {
      node.setHostPolicy({ ingress: [], egress: [] }, { isAudited: true });
      expect(ask(world, host)).toBe('audited, to stack');
      expect(ask(host, world)).toBe('audited, to stack');
      expect(ask(client, host)).toBe('audited, to stack');
      expect(await node.events()).toMatchObject([
        { reason: 'policyDenied', direction: 'ingress', flags: ['audited'] },
        { reason: 'policyDenied', direction: 'egress', flags: ['audited'] },
        { reason: 'policyDenied', direction: 'ingress', flags: ['audited'] },
      ]);
    });

    it('holds besides the policy of a pod, with the sender’s first', () => {
      node.setPolicy(client, { egress: [], ingress: [] });
      node.setHostPolicy({ ingress: [], egress: [] });
      expect(ask(client, host)).toBe('dropped: policyDenied egress');
      expect(ask(host, client)).toBe('dropped: policyDenied egress');
      node.setPolicy(client, { egress: [ssh], ingress: [] });
      expect(ask(client, host)).toBe('dropped: policyDenied ingress');
      node.setHostPolicy({ egress: [ssh] });
      expect(ask(host, client)).toBe('dropped: policyDenied ingress');
    });

    it('cuts what is open when it is tightened, in both directions', () => {
      node.setHostPolicy({ ingress: [ssh], egress: [ssh] });
      const [inwards, outwards, ofPod] = [between(world, host), between(host, office), between(client, host)];
      node.send(world, inwards.ask('SYN'));
      node.send(host, outwards.ask('SYN'), own);
      node.send(client, ofPod.ask('SYN'));
      node.setHostPolicy({ ingress: [], egress: [] });
      expect(node.send(host, inwards.answer('ACK'), own).verdict).toBe('dropped: policyDenied ingress');
      expect(node.send(world, inwards.ask('ACK')).verdict).toBe('dropped: policyDenied ingress');
      expect(node.send(office, outwards.answer('ACK')).verdict).toBe('dropped: policyDenied egress');
      expect(node.send(host, ofPod.answer('ACK')).verdict).toBe('dropped: policyDenied ingress');
      node.setHostPolicy(undefined);
      expect(node.send(world, inwards.ask('ACK')).verdict).toBe('untouched');
    });

    it('takes a packet of TCP without a socket for what it looks like', () => {
      node.setHostPolicy({ ingress: [] });
      expect(node.send(world, between(world, host, tcp(443, 40000)).ask('ACK')).verdict).toMatch(
        /policyDenied ingress/,
      );
      expect(node.send(host, between(host, world, tcp(40000, 443)).ask('ACK'), own).verdict).toBe('to stack');
    });

    it('knows nothing of what pods and others send, and lets answers to them pass', () => {
      if (!node.takesForwarded) {
        expect(release()).toMatch(/^5\./);
        process.stderr.write('Skipped: a test run of this kernel cannot say where a packet came in\n');
        return;
      }
      node.setHostPolicy({ ingress: [], egress: [] });
      const plain = between(client, world);
      expect(node.send(client, plain.ask('SYN')).verdict).toBe('to stack');
      expect(node.send(host, plain.ask('SYN'), forwarded).verdict).toBe('untouched');
      expect(node.send(world, plain.answer('SYN ACK')).verdict).toBe('to client');
      const masqueraded = between(host, world, tcp(50000, 22));
      expect(node.send(host, masqueraded.ask('SYN'), forwarded).verdict).toBe('to stack');
      expect(node.send(world, masqueraded.answer('SYN ACK')).verdict).toBe('to stack');
      node.bump();
      expect(node.send(world, masqueraded.answer('ACK')).verdict).toBe('to stack');
      expect(node.flows()).toContainEqual(expect.objectContaining({ from: 'host', verdict: 'forwarded' }));
    });

    it('lets nobody outside speak in the name of the host or of its pods', () => {
      node.setHostPolicy({ ingress: [{}] });
      for (const liar of [
        { ...host, place: 'network' },
        { ...client, place: 'network' },
      ] as const) {
        expect(node.send(liar, between(liar, host).ask('SYN')).verdict).toBe('dropped: invalidSourceIp ingress');
      }
    });

    it('judges pings by what may ping, and lets errors pass that belong to what may', () => {
      const type = family === 'ipv4' ? { protocol: 1, port: 256 + 8 } : { protocol: 58, port: 256 + 128 };
      node.setHostPolicy({ ingress: [{ ...type, peer: office }], egress: [ssh] });
      expect(ask(office, host, echo(7))).toBe('to stack');
      expect(ask(world, host, echo(7))).toBe('dropped: policyDenied ingress');
      const talk = between(host, world);
      node.send(host, talk.ask('SYN'), own);
      const quote = talk.ask('SYN').bytes().subarray(14);
      const unreachable = (to: Uint8Array) => {
        const network = ipPacket(family, { from: office, to: host });
        return family === 'ipv4'
          ? network.icmp({ type: 3, code: 1 }).payload(to)
          : network.icmpv6({ type: 1, code: 0 }).payload(to);
      };
      expect(node.send(office, unreachable(quote)).verdict).toBe('to stack');
      const stranger = between(host, world, tcp(1, 2)).ask('SYN').bytes().subarray(14);
      expect(node.send(office, unreachable(stranger)).verdict).toBe('dropped: policyDenied ingress');
    });

    it('judges every fragment by the ports of the first', () => {
      node.setHostPolicy({ ingress: [{ protocol: 17, port: 53 }], egress: [{ protocol: 17, port: 53 }] });
      for (const [port, verdict] of [
        [53, 'to stack'],
        [54, 'dropped: policyDenied ingress'],
      ] as const) {
        const whole = ipPacket(family, { from: world, to: host })
          .udp({ sourcePort: 40000, destinationPort: port })
          .payload('x'.repeat(64))
          .bytes();
        const fragments = fragmentPacket(whole, { size: 32, identification: port });
        expect(fragments.length).toBeGreaterThan(2);
        const verdicts = fragments.map((each) => node.send(world, each).verdict);
        expect(new Set(verdicts)).toEqual(new Set([verdict]));
      }
    });
  });

  describe('leaves alone', () => {
    const strict: PolicyRules = { ingress: [], egress: [] };
    beforeEach(() => node.setHostPolicy(strict));

    it('what finds the neighbours of an IPv6 link, and nothing that only looks like it', () => {
      const solicit = (from: Party, to: Party, hopLimit: number) =>
        ipPacket('ipv6', { from, to, ttl: hopLimit }).icmpv6({ type: 135 }).payload('x'.repeat(20));
      const near: Party = { ...world, ipv6: 'fe80::9' };
      const ours: Party = { ...host, ipv6: 'fe80::1' };
      expect(node.send(near, solicit(near, ours, 255)).verdict).toBe('untouched');
      expect(node.send(ours, solicit(ours, near, 255), own).verdict).toBe('untouched');
      expect(node.send(near, solicit(near, ours, 64)).verdict).toBe('dropped: policyDenied ingress');
    });

    it.each([
      { family: 'ipv4' as const, client: 68, server: 67, ours: host, peer: world },
      {
        ...{ family: 'ipv6' as const, client: 546, server: 547 },
        ...{ ours: { ...host, ipv6: 'fe80::1' }, peer: { ...world, ipv6: 'fe80::9' } },
      },
    ])(
      'DHCP of the host over $family, and no other use of its ports',
      ({ family, client: from, server: to, ...ends }) => {
        const verdicts = (over: Transport): string[] => {
          const talk = conversation({ family, from: ends.ours, to: ends.peer, over });
          return [node.send(ends.peer, talk.answer()), node.send(ends.ours, talk.ask(), own)].map(
            (each) => each.verdict,
          );
        };
        expect(verdicts(udp(from, to))).toEqual(['untouched', 'untouched']);
        const denied = ['dropped: policyDenied ingress', 'dropped: policyDenied egress'];
        expect(verdicts(udp(to, from))).toEqual(denied);
        expect(verdicts(tcp(from, to))).toEqual(denied);
      },
    );

    it('multicast and broadcast', () => {
      for (const address of ['224.0.0.251', '255.255.255.255']) {
        const all: Party = { ...world, ipv4: address, place: 'network' };
        const over = udp(5353, 5353);
        expect(node.send(host, conversation({ family: 'ipv4', from: host, to: all, over }).ask(), own).verdict).toBe(
          'untouched',
        );
        expect(node.send(world, conversation({ family: 'ipv4', from: world, to: all, over }).ask()).verdict).toBe(
          'untouched',
        );
      }
    });

    it('but not what comes to a link-local address, which is its own, or leaves from one', () => {
      const near: Party = { ...world, ipv6: 'fe80::9' };
      const ours: Party = { ...host, ipv6: 'fe80::1' };
      const talk = conversation({ family: 'ipv6', from: near, to: ours, over: tcp(40000, 22) });
      expect(node.send(near, talk.ask('SYN')).verdict).toBe('dropped: policyDenied ingress');
      const back = conversation({ family: 'ipv6', from: ours, to: near, over: tcp(40000, 22) });
      expect(node.send(ours, back.ask('SYN'), own).verdict).toBe('dropped: policyDenied egress');
      node.setHostPolicy({ ingress: [ssh], egress: [] });
      node.send(near, talk.ask('SYN'));
      node.bump();
      expect(node.send(ours, talk.answer('SYN ACK'), own).verdict).toBe('to stack');
      node.setHostPolicy(strict);
      expect(node.send(ours, talk.answer('ACK'), own).verdict).toBe('dropped: policyDenied ingress');
    });
  });
});

describePackets('the policy of a host with an overlay', () => {
  const node = usePacketNode({ config: { overlayIfindex: uplinkIfindex } });
  const neighbour: Party = { ...world, name: 'node', ipv4: '192.0.2.77', ipv6: '2001:db8::77', identity: 6 };
  beforeEach(() => {
    node.setRemote(remotePod, { number: 7, address: neighbour.ipv4 });
    node.setRemote(remotePod, { number: 7, address: neighbour.ipv6 });
    for (const address of [neighbour.ipv4, neighbour.ipv6]) node.setIdentity({ address, length: 128 }, 6);
    node.setHostPolicy({ ingress: [], egress: [] });
  });

  it.each(families)('leaves alone what carries the packets of pods between known nodes, over %s', (family) => {
    const verdicts = (peer: Party, port: number): string[] => {
      const inwards = conversation({ family, from: peer, to: host, over: udp(40000, port) });
      const outwards = conversation({ family, from: host, to: peer, over: udp(40001, port) });
      return [node.send(peer, inwards.ask()), node.send(host, outwards.ask(), own)].map(({ verdict }) => verdict);
    };
    const denied = ['dropped: policyDenied ingress', 'dropped: policyDenied egress'];
    expect(verdicts(neighbour, 8472)).toEqual(['untouched', 'untouched']);
    expect(verdicts(neighbour, 8473)).toEqual(denied);
    expect(verdicts(world, 8472)).toEqual(denied);
  });

  it.each(families)('leaves that alone also where it is cut up on a narrow path, over %s', (family) => {
    for (const [from, to, options] of [
      [neighbour, host, undefined],
      [host, neighbour, own],
    ] as const) {
      const frame = ipPacket(family, { from, to })
        .udp({ sourcePort: 40000, destinationPort: 8472 })
        .payload('x'.repeat(2_000));
      const fragments = fragmentPacket(frame.bytes(), { identification: 7, size: 1_024 });
      expect(fragments.map((fragment) => node.send(from, fragment, options).verdict)).toEqual([
        'untouched',
        'untouched',
      ]);
    }
  });

  it.each(families)('lets the kernel hear how narrow the path to a node is, and no other errors, over %s', (family) => {
    const verdictOf = (to: Party, port: number): string => {
      const sent = ipPacket(family, { from: host, to }).udp({ sourcePort: 40000, destinationPort: port });
      const network = ipPacket(family, { from: world, to: host });
      const error = family === 'ipv4' ? network.icmp({ type: 3, code: 4 }) : network.icmpv6({ type: 2 });
      return node.send(world, error.quoting(sent.bytes())).verdict;
    };
    expect([verdictOf(neighbour, 8472), verdictOf(neighbour, 8473), verdictOf(remotePod, 8472)]).toEqual([
      'untouched',
      'dropped: policyDenied ingress',
      'dropped: policyDenied ingress',
    ]);
  });

  it.each(families)('believes pods of other nodes nothing that comes outside of it, over %s', (family) => {
    node.setHostPolicy({ ingress: [{ peer: remotePod, protocol: 6, port: 80 }] });
    const talk = conversation({ family, from: remotePod, to: host, over: tcp(40000, 80) });
    expect(node.send(remotePod, talk.ask('SYN')).verdict).toBe('dropped: invalidSourceIp ingress');
  });

  it.each(families)('leaves what hosts say to each other outside of it, both ways, over %s', (family) => {
    node.setHostPolicy({ ingress: [{ peer: neighbour, protocol: 6, port: 80 }], egress: [{ peer: neighbour }] });
    const inwards = conversation({ family, from: neighbour, to: host, over: tcp(40000, 80) });
    expect(node.send(neighbour, inwards.ask('SYN')).verdict).toBe('to stack');
    expect(node.send(host, inwards.answer('SYN ACK'), own).verdict).toBe('to stack');
    const outwards = conversation({ family, from: host, to: neighbour, over: tcp(40001, 81) });
    expect(node.send(host, outwards.ask('SYN'), own).verdict).toBe('to stack');
    expect(node.send(neighbour, outwards.answer('SYN ACK')).verdict).toBe('to stack');
  });

  it.each(families)(
    'judges what the host sends to pods of other nodes where it enters the overlay, over %s',
    (family) => {
      const talk = conversation({ family, from: host, to: remotePod, over: tcp(40000, 80) });
      expect(node.send(host, talk.ask('SYN')).verdict).toBe('dropped: policyDenied egress');
      node.setHostPolicy({ egress: [{ protocol: 6, port: 80 }] });
      expect(node.send(host, talk.ask('SYN')).verdict).toBe('to overlay');
    },
  );
});
