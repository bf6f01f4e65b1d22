// SPDX-License-Identifier: Apache-2.0
// A verdict holds until something changes: then every flow is judged anew at its next packet, in either direction.
import { describe, expect, it } from '@jest/globals';
import { conversation, echo, sctp, tcp, udp, type Transport } from '../node/conversation.ts';
import { icmpPort } from '../node/policy-writer.ts';
import { client, families, other, server, world, type Party, type Pod } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';

const kinds: { title: string; over: Transport; protocol?: number; port?: number }[] = [
  { title: 'TCP', over: tcp(40000, 80), protocol: 6, port: 80 },
  { title: 'UDP', over: udp(40000, 53), protocol: 17, port: 53 },
  { title: 'SCTP', over: sctp(40000, 3868), protocol: 132, port: 3868 },
  { title: 'an echo', over: echo(7) },
];

describePackets('revision', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const between = (from: Party, to: Party, over: Transport) => conversation({ family, from, to, over });
    const run = (talk: ReturnType<typeof between>) => {
      node.send(talk.from, talk.ask('SYN'));
      node.send(talk.to, talk.answer('SYN ACK'));
      node.send(talk.from, talk.ask('ACK'));
    };

    describe.each(kinds)('$title that is running', (kind) => {
      const talk = between(client, server, kind.over);
      // Echoes go by the type of the question, whichever end the packet in hand comes from.
      const key =
        kind.protocol === undefined
          ? family === 'ipv4'
            ? { protocol: 1, port: icmpPort(8) }
            : { protocol: 58, port: icmpPort(128) }
          : { protocol: kind.protocol, port: kind.port! };

      it.each([
        { title: 'the receiver’s ingress', pod: server, denial: { ingress: [] }, where: 'ingress' },
        { title: 'the sender’s egress', pod: client, denial: { egress: [] }, where: 'egress' },
      ])('is cut at its next packet, from either end: $title', ({ pod, denial, where }) => {
        for (const first of ['ask', 'answer'] as const) {
          node.reset();
          run(talk);
          node.setPolicy(pod, denial);
          const [from, frame] = first === 'ask' ? [talk.from, talk.ask()] : [talk.to, talk.answer()];
          expect(node.send(from, frame).verdict).toBe(`dropped: policyDenied ${where}`);
          expect(node.send(talk.from, talk.ask()).verdict).toBe(`dropped: policyDenied ${where}`);
          expect(node.send(talk.to, talk.answer()).verdict).toBe(`dropped: policyDenied ${where}`);
        }
      });

      it('goes on when it is allowed again, and by another rule', () => {
        run(talk);
        node.setPolicy(server, { ingress: [] });
        node.send(client, talk.ask());
        node.setPolicy(server, { ingress: [{ ...key, cookie: 9 }] });
        expect(node.send(server, talk.answer()).verdict).toBe('to client');
        expect(node.send(client, talk.ask()).verdict).toBe('to server');
        expect(node.flows()).toMatchObject([{ verdict: 'forwarded', from: 'client', entry: { ingressCookie: 9 } }]);
      });

      it('is judged by the port that it was opened to, from either end', () => {
        run(talk);
        node.setPolicy(server, { ingress: [key], egress: [] });
        node.setPolicy(client, { egress: [key], ingress: [] });
        expect(node.send(server, talk.answer()).verdict).toBe('to client');
        node.bump();
        expect(node.send(client, talk.ask()).verdict).toBe('to server');
      });

      it('does not mind a policy against the direction of its answers', () => {
        run(talk);
        node.setPolicy(client, { ingress: [] });
        node.setPolicy(server, { egress: [] });
        expect(node.send(server, talk.answer()).verdict).toBe('to client');
        expect(node.send(client, talk.ask()).verdict).toBe('to server');
      });

      it('does not live longer by packets that are dropped', () => {
        run(talk);
        node.setPolicy(server, { ingress: [] });
        node.send(client, talk.ask());
        const [before] = node.flows();
        node.send(client, talk.ask());
        expect(node.flows()[0]?.entry).toEqual(before?.entry);
      });
    });

    it('refusal by a deny rule has its own reason', () => {
      const talk = between(client, server, tcp(40000, 80));
      run(talk);
      node.setPolicy(server, { ingress: [{}, { peer: client, verdict: 'refuse', cookie: 4 }] });
      expect(node.send(server, talk.answer()).verdict).toBe('dropped: policyDeny ingress');
      expect(node.flows()).toMatchObject([{ verdict: 'policyDeny', entry: { ingressCookie: 4 } }]);
    });

    it('without a bump nothing is judged anew, and after one everything once', () => {
      const talk = between(client, server, tcp(40000, 80));
      run(talk);
      const revision = node.flows()[0]!.entry.revision;
      node.send(client, talk.ask());
      expect(node.flows()[0]!.entry.revision).toBe(revision);
      node.bump();
      expect(node.flows()[0]!.entry.revision).toBe(revision);
      node.send(client, talk.ask());
      expect(node.flows()[0]!.entry.revision).toBe(revision + 1);
    });

    it('counts a revision that begins again at zero as another one', () => {
      const talk = between(client, server, tcp(40000, 80));
      for (const revision of [0xffffffff, 0]) {
        node.setRevision(revision);
        run(talk);
        node.setPolicy(server, { ingress: [] });
        expect(node.send(client, talk.ask()).verdict).toBe('dropped: policyDenied ingress');
        node.setPolicy(server, {});
      }
    });

    it('a change of identity counts, of either end', () => {
      const talk = between(client, server, tcp(40000, 80));
      node.setPolicy(server, { ingress: [{ peer: client }] });
      node.setPolicy(client, { egress: [{ peer: server }] });
      run(talk);
      node.addPod({ ...client, identity: 3000 });
      node.bump();
      expect(node.send(server, talk.answer()).verdict).toBe('dropped: policyDenied ingress');
      node.addPod(client);
      node.bump();
      expect(node.send(server, talk.answer()).verdict).toBe('to client');
      node.addPod({ ...server, identity: 3001 });
      node.bump();
      expect(node.send(client, talk.ask()).verdict).toBe('dropped: policyDenied egress');
    });

    it('a change of what an address range is counts', () => {
      const talk = between(client, world, tcp(40000, 80));
      node.setPolicy(client, { egress: [{ peer: world }] });
      run(talk);
      node.setIdentity({ address: world[family], length: 128 }, 77);
      node.bump();
      expect(node.send(world, talk.answer()).verdict).toBe('dropped: policyDenied egress');
    });

    it('a flow follows a pod that has moved to another interface', () => {
      const talk = between(client, server, tcp(40000, 80));
      run(talk);
      const moved: Pod = { ...server, ifindex: other.ifindex, mac: '02:00:00:00:00:77', policySlot: 0 };
      node.removePod(server);
      node.removePod(other);
      node.addPod(moved);
      node.bump();
      expect(node.send(client, talk.ask()).packet.ethernet.destination).toBe(moved.mac);
      expect(node.flows()).toMatchObject([{ entry: { destinationIfindex: moved.ifindex } }]);
      const now = between(client, moved, tcp(40000, 80));
      expect(node.send(moved, now.answer()).verdict).toBe('to client');
    });

    it('a flow of a pod that is gone goes to the stack, and no more to whoever has its interface', () => {
      const talk = between(client, server, tcp(40000, 80));
      run(talk);
      node.removePod(server);
      node.bump();
      expect(node.send(client, talk.ask()).verdict).toBe('to stack');
      expect(node.flows()).toMatchObject([{ entry: { destinationIfindex: 0, destinationEndpoint: 0 } }]);
    });

    it('an address that passes to another pod passes with that pod’s policy', () => {
      const talk = between(client, server, tcp(40000, 80));
      run(talk);
      node.removePod(server);
      node.addPod({ ...other, ipv4: server.ipv4, ipv6: server.ipv6 });
      node.setPolicy(other, { ingress: [] });
      expect(node.send(client, talk.ask()).verdict).toBe('dropped: policyDenied ingress');
    });

    describe('when the proxy comes in', () => {
      const talk = between(client, server, tcp(40000, 80));
      const viaProxy = { ingress: [{ verdict: 'redirect', ruleSet: 7 }] } as const;

      it('a running connection cannot enter it and is dropped, but a new one can', () => {
        run(talk);
        node.setPolicy(server, viaProxy);
        const verdict = 'dropped: proxyNeedsNewConnection ingress';
        expect(node.send(client, talk.ask()).verdict).toBe(verdict);
        expect(node.send(server, talk.answer()).verdict).toBe(verdict);
        // Nobody listens here: that it gets as far as this is what counts.
        expect(node.send(client, talk.ask('SYN')).verdict).toBe('dropped: proxyNotListening egress');
        expect(node.flows()).toMatchObject([{ flags: ['redirected'] }]);
      });

      it('the reason names the direction whose policy wants it', () => {
        run(talk);
        node.setPolicy(client, { egress: [{ verdict: 'redirect', ruleSet: 7 }] });
        expect(node.send(server, talk.answer()).verdict).toBe('dropped: proxyNeedsNewConnection egress');
      });

      it('a connection that was running before it was seen cannot enter it either', () => {
        node.setPolicy(server, viaProxy);
        expect(node.send(client, talk.ask()).verdict).toBe('dropped: proxyNeedsNewConnection ingress');
        expect(node.flows()).toEqual([]);
      });

      it('and goes again, a running connection that was dropped goes on', () => {
        run(talk);
        node.setPolicy(server, viaProxy);
        node.send(client, talk.ask());
        node.setPolicy(server, { ingress: [{}] });
        expect(node.send(client, talk.ask()).verdict).toBe('to server');
      });

      it('and goes again, a connection that is with it stays there', () => {
        node.setPolicy(server, viaProxy);
        node.send(client, talk.ask('SYN'));
        expect(node.flows()).toMatchObject([{ flags: ['redirected'], entry: { ingressRuleSet: 7 } }]);
        node.setPolicy(server, { ingress: [{}] });
        expect(node.send(client, talk.ask()).verdict).toBe('dropped: proxyNotListening egress');
        expect(node.flows()).toMatchObject([{ flags: ['redirected'], entry: { ingressRuleSet: 0 } }]);
      });

      it('with other rules, a connection that is with it gets those', () => {
        node.setPolicy(server, viaProxy);
        node.send(client, talk.ask('SYN'));
        node.setPolicy(server, { ingress: [{ verdict: 'redirect', ruleSet: 8 }] });
        node.send(client, talk.ask());
        expect(node.flows()).toMatchObject([{ verdict: 'forwarded', entry: { ingressRuleSet: 8 } }]);
      });
    });
  });
});
