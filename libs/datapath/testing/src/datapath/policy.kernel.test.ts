// SPDX-License-Identifier: Apache-2.0
// What the entries of a policy say of a flow: which kinds of key there are, and how what is found adds up.
import { describe, expect, it } from '@jest/globals';
import { conversation, echo, protocol, sctp, tcp, udp, type Transport } from '../node/conversation.ts';
import { allPods, icmpPort, type Rule } from '../node/policy-writer.ts';
import { client, families, host, office, other, remotePod, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { ipProtocol } from '../packet/protocols.ts';

const http: Rule = { protocol: ipProtocol.tcp, port: 80 };
// 64–127.
const lowPorts: Rule = { protocol: ipProtocol.tcp, port: 64, portPrefixLength: 10 };

describePackets('policy', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const ask = (from: Party, to: Party, over: Transport = tcp(40000, 80)) =>
      node.send(from, conversation({ family, from, to, over }).ask('SYN')).verdict;

    describe('a kind of key', () => {
      it.each<{ title: string; rule: Rule; allows: [Party, Transport][]; denies: [Party, Transport][] }>([
        {
          title: 'peer, protocol and port',
          rule: { peer: client, ...http },
          allows: [[client, tcp(40000, 80)]],
          denies: [
            [client, tcp(40000, 81)],
            [client, tcp(80, 40000)],
            [client, udp(40000, 80)],
            [other, tcp(40000, 80)],
          ],
        },
        {
          title: 'peer and protocol',
          rule: { peer: client, protocol: ipProtocol.tcp },
          allows: [
            [client, tcp(40000, 80)],
            [client, tcp(40000, 81)],
          ],
          denies: [
            [client, udp(40000, 80)],
            [other, tcp(40000, 80)],
          ],
        },
        {
          title: 'peer',
          rule: { peer: client },
          allows: [
            [client, tcp(40000, 80)],
            [client, udp(40000, 53)],
            [client, protocol(47)],
          ],
          denies: [[other, tcp(40000, 80)]],
        },
        {
          title: 'protocol and port',
          rule: http,
          allows: [
            [client, tcp(40000, 80)],
            [world, tcp(40000, 80)],
          ],
          denies: [
            [client, tcp(40000, 81)],
            [client, udp(40000, 80)],
          ],
        },
        {
          title: 'protocol',
          rule: { protocol: 47 },
          allows: [
            [client, protocol(47)],
            [world, protocol(47)],
          ],
          denies: [
            [client, protocol(50)],
            [client, tcp(40000, 80)],
          ],
        },
        {
          title: 'peer, protocol and range of ports',
          rule: { peer: client, ...lowPorts },
          allows: [
            [client, tcp(40000, 64)],
            [client, tcp(40000, 127)],
          ],
          denies: [
            [client, tcp(40000, 63)],
            [client, tcp(40000, 128)],
            [client, udp(40000, 80)],
            [other, tcp(40000, 80)],
          ],
        },
        {
          title: 'protocol and range of ports',
          rule: { protocol: ipProtocol.sctp, port: 0x8000, portPrefixLength: 1 },
          allows: [
            [client, sctp(40000, 0x8000)],
            [world, sctp(40000, 0xffff)],
          ],
          denies: [
            [client, sctp(40000, 0x7fff)],
            [client, tcp(40000, 0x8000)],
          ],
        },
        {
          title: 'every pod',
          rule: { peer: allPods },
          allows: [
            [client, tcp(40000, 80)],
            [remotePod, udp(40000, 53)],
          ],
          denies: [
            [host, tcp(40000, 80)],
            [office, tcp(40000, 80)],
            [world, tcp(40000, 80)],
          ],
        },
        {
          title: 'every pod, protocol and range of ports',
          rule: { peer: allPods, ...lowPorts },
          allows: [[remotePod, tcp(40000, 100)]],
          denies: [
            [remotePod, tcp(40000, 128)],
            [world, tcp(40000, 100)],
          ],
        },
        {
          title: 'a type of ICMP, which is no port',
          rule: family === 'ipv4' ? { protocol: 1, port: icmpPort(8) } : { protocol: 58, port: icmpPort(128) },
          allows: [
            [client, echo(7)],
            [world, echo(0)],
          ],
          denies: [[client, tcp(40000, 8)]],
        },
        {
          title: 'anything',
          rule: {},
          allows: [
            [client, tcp(40000, 80)],
            [world, protocol(50)],
          ],
          denies: [],
        },
      ])('of $title', ({ rule, allows, denies }) => {
        node.setPolicy(server, { ingress: [rule] });
        for (const [from, over] of allows) expect(ask(from, server, over)).toBe('to server');
        for (const [from, over] of denies) expect(ask(from, server, over)).toBe('dropped: policyDenied ingress');

        node.setPolicy(server, { egress: [rule] });
        for (const [to, over] of allows) expect(ask(server, to, over)).toMatch(/^to (client|other|stack)$/);
        for (const [to, over] of denies) expect(ask(server, to, over)).toBe('dropped: policyDenied egress');
      });
    });

    describe('who the peer is', () => {
      it.each([
        { title: 'a pod of the node', peer: client },
        { title: 'a pod of another node', peer: remotePod },
        { title: 'the host', peer: host },
        { title: 'an address range', peer: office },
        { title: 'nobody known', peer: world },
      ])('by its address: $title', ({ peer }) => {
        node.setPolicy(server, { ingress: [{ peer }], egress: [{ peer }] });
        for (const party of [client, remotePod, host, office, world]) {
          const isPeer = party === peer;
          expect(ask(party, server)).toBe(isPeer ? 'to server' : 'dropped: policyDenied ingress');
          expect(ask(server, party)).toMatch(isPeer ? /^to / : /^dropped: policyDenied egress$/);
        }
      });

      it('by its longest prefix, and by its exact address before any', () => {
        const { ipv4, ipv6 } = office;
        const [address, bits] = family === 'ipv4' ? [ipv4, 96] : [ipv6, 0];
        const [wide, narrow, exact] = [{ identity: 5001 }, { identity: 5002 }, { identity: 5003 }];
        const allows = (peer: { identity: number }) => {
          node.setPolicy(server, { ingress: [{ peer }] });
          return ask(office, server) === 'to server';
        };
        node.setIdentity({ address, length: bits + 16 }, wide.identity);
        expect(allows(office)).toBe(true);
        node.setIdentity({ address, length: family === 'ipv4' ? bits + 30 : 120 }, narrow.identity);
        expect([allows(office), allows(wide), allows(narrow)]).toEqual([false, false, true]);
        node.setIdentity({ address, length: 128 }, exact.identity);
        expect([allows(narrow), allows(exact)]).toEqual([false, true]);
      });
    });

    describe('what is found', () => {
      const redirect = (ruleSet: number): Partial<Rule> => ({ verdict: 'redirect', ruleSet });
      const keys: Rule[] = [
        { peer: client, ...http },
        { peer: client, ...lowPorts },
        { peer: client, protocol: 6 },
        { peer: client },
        { peer: allPods, ...http },
        { peer: allPods, ...lowPorts },
        { peer: allPods, protocol: 6 },
        { peer: allPods },
        http,
        lowPorts,
        { protocol: 6 },
        {},
      ];
      const pairs = keys.flatMap((first, a) =>
        keys.slice(a + 1).map((second, b) => ({ first, second, a, b: a + 1 + b })),
      );

      it.each(pairs)('a refusal beats an allowance, wherever each is: keys $a and $b', ({ first, second }) => {
        node.setPolicy(server, { ingress: [{ ...first, verdict: 'refuse' }, second] });
        expect(ask(client, server)).toBe('dropped: policyDeny ingress');
        node.setPolicy(server, { ingress: [first, { ...second, verdict: 'refuse' }] });
        expect(ask(client, server)).toBe('dropped: policyDeny ingress');
      });

      it.each(pairs)('an allowance beats a redirect, wherever each is: keys $a and $b', ({ first, second }) => {
        for (const rules of [
          [{ ...first, ...redirect(7) }, second],
          [first, { ...second, ...redirect(7) }],
        ]) {
          node.setPolicy(server, { ingress: rules });
          expect(ask(client, server)).toBe('to server');
          expect(node.flows()).toMatchObject([{ flags: [], entry: { ingressRuleSet: 0 } }]);
        }
      });

      it.each(pairs)('a refusal beats a redirect: keys $a and $b', ({ first, second }) => {
        node.setPolicy(server, {
          ingress: [
            { ...first, ...redirect(7) },
            { ...second, verdict: 'refuse' },
          ],
        });
        expect(ask(client, server)).toBe('dropped: policyDeny ingress');
      });

      it.each(pairs)('the most specific redirect counts: keys $a and $b', ({ first, second }) => {
        node.setPolicy(server, {
          ingress: [
            { ...first, ...redirect(7), cookie: 70 },
            { ...second, ...redirect(8), cookie: 80 },
          ],
        });
        // Nobody listens, which is all the same to the verdict.
        expect(ask(client, server)).toBe('dropped: proxyNotListening egress');
        expect(node.flows()).toMatchObject([
          { flags: ['redirected'], entry: { ingressRuleSet: 7, ingressCookie: 70 } },
        ]);
      });

      it('the most specific allowance names the rules', () => {
        node.setPolicy(server, {
          ingress: [{ cookie: 3 }, { peer: client, cookie: 2 }, { peer: client, ...http, cookie: 1 }],
        });
        ask(client, server);
        ask(client, server, udp(40000, 53));
        ask(world, server);
        expect(
          node
            .flows()
            .map(({ entry }) => entry.ingressCookie)
            .toSorted(),
        ).toEqual([1, 2, 3]);
      });

      it('nothing is a denial where the direction is enforced, and no more', () => {
        node.setPolicy(server, { ingress: [] });
        expect(ask(client, server)).toBe('dropped: policyDenied ingress');
        expect(ask(server, client)).toBe('to client');
        node.setPolicy(server, { egress: [] });
        expect(ask(client, server)).toBe('to server');
        expect(ask(server, client)).toBe('dropped: policyDenied egress');
      });

      it('does not count in a direction that is not enforced', () => {
        node.setPolicy(server, { egress: [{ verdict: 'refuse' }] });
        expect(ask(client, server)).toBe('to server');
      });

      it('counts in its own direction alone', () => {
        node.setPolicy(server, { ingress: [{ peer: client }], egress: [{ peer: other }] });
        expect(ask(other, server)).toBe('dropped: policyDenied ingress');
        expect(ask(server, client)).toBe('dropped: policyDenied egress');
      });

      it('counts for the pods of its own policy alone', () => {
        node.setPolicy(server, { ingress: [] });
        expect(ask(client, other)).toBe('to other');
      });
    });

    describe('between two pods of the node', () => {
      it.each([
        { sender: {}, receiver: {}, verdict: 'to server' },
        { sender: { egress: [] }, receiver: {}, verdict: 'dropped: policyDenied egress' },
        { sender: {}, receiver: { ingress: [] }, verdict: 'dropped: policyDenied ingress' },
        { sender: { egress: [http] }, receiver: { ingress: [http] }, verdict: 'to server' },
        { sender: { egress: [http] }, receiver: { ingress: [] }, verdict: 'dropped: policyDenied ingress' },
        { sender: { egress: [] }, receiver: { ingress: [http] }, verdict: 'dropped: policyDenied egress' },
        { sender: { egress: [] }, receiver: { ingress: [] }, verdict: 'dropped: policyDenied egress' },
        { sender: { ingress: [] }, receiver: { egress: [] }, verdict: 'to server' },
        {
          sender: { egress: [{ ...http, verdict: 'refuse' as const }] },
          receiver: { ingress: [] },
          verdict: 'dropped: policyDeny egress',
        },
      ])('both have their say: %#', ({ sender, receiver, verdict }) => {
        node.setPolicy(client, sender);
        node.setPolicy(server, receiver);
        expect(ask(client, server)).toBe(verdict);
      });
    });

    it('of a pod with a slot that there is not drops everything', () => {
      node.addPod({ ...server, policySlot: 1_000_000 });
      node.bump();
      expect(ask(client, server)).toBe('dropped: noConfiguration ingress');
      expect(ask(server, client)).toBe('dropped: noConfiguration egress');
    });

    it('that redirects what the proxy does not speak drops it', () => {
      node.setPolicy(server, { ingress: [{ verdict: 'redirect', ruleSet: 7 }] });
      expect(ask(client, server, udp(40000, 53))).toBe('dropped: proxyUnsupportedProtocol ingress');
      expect(ask(client, server, protocol(47))).toBe('dropped: proxyUnsupportedProtocol ingress');
    });

    it('that redirects without a rule set drops, and does not let through', () => {
      node.setPolicy(server, { ingress: [{ verdict: 'redirect', ruleSet: 0 }] });
      expect(ask(client, server)).toBe('dropped: noConfiguration ingress');
    });

    it('is remembered with the flow', () => {
      node.setPolicy(client, { egress: [{ cookie: 5 }] });
      node.setPolicy(server, { ingress: [{ cookie: 6 }] });
      ask(client, server);
      expect(node.flows()).toMatchObject([
        {
          verdict: 'forwarded',
          entry: {
            sourceIdentity: client.identity,
            destinationIdentity: server.identity,
            sourceEndpoint: client.id,
            destinationEndpoint: server.id,
            egressCookie: 5,
            ingressCookie: 6,
          },
        },
      ]);
    });
  });
});
