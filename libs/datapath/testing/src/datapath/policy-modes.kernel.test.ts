// SPDX-License-Identifier: Apache-2.0
// What a policy does besides its entries: default allow, audit mode, and the account of its rules.
import { describe, expect, it } from '@jest/globals';
import { conversation, echo, tcp, udp, type Transport } from '../node/conversation.ts';
import { client, families, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';

const http = { protocol: 6, port: 80 };

describePackets('policy', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const between = (from: Party, to: Party, over: Transport = tcp(40000, 80)) =>
      conversation({ family, from, to, over });
    const ask = (from: Party, to: Party, over?: Transport) =>
      node.send(from, between(from, to, over).ask('SYN')).verdict;

    describe('with default allow', () => {
      it('lets through what no entry is about, in that policy alone', () => {
        node.setPolicy(server, { ingress: [{ ...http, verdict: 'refuse' }], defaultAllow: true });
        expect(ask(client, server)).toBe('dropped: policyDeny ingress');
        expect(ask(client, server, tcp(40000, 81))).toBe('to server');
        expect(ask(world, server, echo(7))).toBe('to server');
        node.setPolicy(server, { ingress: [{ ...http, verdict: 'refuse' }] });
        expect(ask(client, server, tcp(40000, 81))).toBe('dropped: policyDenied ingress');
      });

      it('still gives to the proxy what an entry redirects', () => {
        node.setPolicy(server, { ingress: [{ ...http, verdict: 'redirect', ruleSet: 7 }], defaultAllow: true });
        expect(ask(client, server)).toBe('dropped: proxyNotListening egress');
        expect(ask(client, server, tcp(40000, 81))).toBe('to server');
      });

      it('counts nothing for what no entry is about', () => {
        node.setPolicy(server, { ingress: [{ ...http, verdict: 'refuse', cookie: 3 }], defaultAllow: true });
        ask(client, server, tcp(40000, 81));
        expect(node.flows()).toMatchObject([{ entry: { ingressCookie: 0, ingressCounter: 0 } }]);
      });
    });

    describe('of a pod in audit mode', () => {
      const audited = { ...server, isAudited: true };

      it.each([
        { title: 'what nothing allows', rules: [], reason: 'policyDenied' },
        { title: 'what is denied', rules: [{ ...http, verdict: 'refuse' as const, cookie: 9 }], reason: 'policyDeny' },
      ])('lets $title through, in both directions, and says what would have been', async ({ rules, reason }) => {
        node.addPod(audited);
        node.setPolicy(server, { ingress: rules });
        const talk = between(client, server);
        expect(node.send(client, talk.ask('SYN')).verdict).toBe('audited, to server');
        expect(node.send(server, talk.answer('SYN ACK')).verdict).toBe('audited, to client');
        expect(node.send(client, talk.ask('FIN ACK')).verdict).toBe('audited, to server');
        expect(await node.events()).toMatchObject([
          { type: 'policyVerdict', reason, direction: 'ingress', flags: ['audited'], from: 'client', to: 'server' },
          { type: 'trace', reason, direction: 'ingress', flags: ['audited'] },
        ]);
        expect(node.metrics().map(({ reason: counted }) => counted)).not.toContain(0);
      });

      it('takes nothing from what another pod’s policy says', () => {
        node.addPod(audited);
        node.setPolicy(server, { ingress: [] });
        node.setPolicy(client, { egress: [] });
        expect(ask(client, server)).toBe('dropped: policyDenied egress');
      });

      it('does not touch what is allowed', async () => {
        node.addPod(audited);
        node.setPolicy(server, { ingress: [http] });
        expect(ask(client, server)).toBe('to server');
        expect(await node.events()).toMatchObject([{ type: 'policyVerdict', reason: 'forwarded', flags: [] }]);
      });

      it('holds to what the proxy must see all the same', () => {
        node.addPod(audited);
        node.setPolicy(server, { ingress: [{ verdict: 'redirect', ruleSet: 7 }] });
        expect(ask(client, server)).toBe('dropped: proxyNotListening egress');
        expect(ask(client, server, udp(40000, 80))).toBe('dropped: proxyUnsupportedProtocol ingress');
      });

      it('ends at the next packet of a running flow', () => {
        node.addPod(audited);
        node.setPolicy(server, { ingress: [] });
        const talk = between(client, server);
        node.send(client, talk.ask('SYN'));
        node.addPod(server);
        node.bump();
        expect(node.send(client, talk.ask('ACK')).verdict).toBe('dropped: policyDenied ingress');
      });
    });

    describe('counts for its rules', () => {
      const length = (over: Transport = tcp(40000, 80)): number =>
        between(client, server, over).ask('SYN').bytes().length;

      it('every packet of their flows, in both directions and for both pods', () => {
        node.setPolicy(client, { egress: [{ ...http, cookie: 1, counter: 1 }] });
        node.setPolicy(server, { ingress: [{ ...http, cookie: 2, counter: 2 }] });
        const talk = between(client, server);
        node.send(client, talk.ask('SYN'));
        node.send(server, talk.answer('SYN ACK'));
        node.send(client, talk.ask('ACK'));
        for (const counter of [1, 2]) expect(node.ruleTraffic(counter)).toEqual({ packets: 3, bytes: 3 * length() });
      });

      it('what they deny, and not what was not theirs to decide', () => {
        node.setPolicy(client, { egress: [{ ...http, verdict: 'refuse', cookie: 1, counter: 3 }, { counter: 4 }] });
        node.setPolicy(server, { ingress: [{ counter: 5 }] });
        for (let packets = 1; packets <= 2; packets++) {
          ask(client, server);
          expect(node.ruleTraffic(3)).toEqual({ packets, bytes: packets * length() });
        }
        for (const counter of [4, 5]) expect(node.ruleTraffic(counter).packets).toBe(0);
      });

      it('from a change on, what another rule decides', () => {
        node.setPolicy(server, { ingress: [{ cookie: 6, counter: 6 }] });
        const talk = between(client, server);
        node.send(client, talk.ask('SYN'));
        node.setPolicy(server, { ingress: [{ cookie: 7, counter: 7 }] });
        node.send(server, talk.answer('SYN ACK'));
        expect([6, 7].map((counter) => node.ruleTraffic(counter).packets)).toEqual([1, 1]);
      });
    });
  });
});
