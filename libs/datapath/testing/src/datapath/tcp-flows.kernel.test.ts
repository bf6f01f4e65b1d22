// SPDX-License-Identifier: Apache-2.0
// One entry for each connection, found from either end, that lives as long as the connection does.
import { describe, expect, it } from '@jest/globals';
import { conversation, tcp } from '../node/conversation.ts';
import { client, families, host, other, remotePod, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';

const openingSeconds = 60;
const establishedSeconds = 8000;
const closingSeconds = 10;

// A second of the programs has 1024 ticks of 2^20 ns.
const tickScale = (1024 * 2 ** 20) / 1e9;

describePackets('TCP flows', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    const http = conversation({ family, from: client, to: server, over: tcp(40000, 80) });
    const handshake = (talk = http) => {
      node.send(talk.from, talk.ask('SYN'));
      node.send(talk.to, talk.answer('SYN ACK'));
      node.send(talk.from, talk.ask('ACK'));
    };
    const expectLeft = (seconds: number) => {
      const [flow] = node.flows();
      expect(flow!.leftSeconds).toBeGreaterThan(seconds * tickScale - 2);
      expect(flow!.leftSeconds).toBeLessThanOrEqual(seconds * tickScale + 0.01);
    };

    it.each([
      { from: client, to: server },
      { from: server, to: client },
      { from: client, to: host },
      { from: host, to: client },
      { from: client, to: world },
      { from: world, to: client },
      { from: remotePod, to: other },
    ])('are one entry for both directions: $from.name to $to.name', ({ from, to }) => {
      const talk = conversation({ family, from, to, over: tcp(40000, 80) });
      node.send(from, talk.ask('SYN'));
      node.send(to, talk.answer('SYN ACK'));
      node.send(from, talk.ask('ACK').payload('question'));
      node.send(to, talk.answer('ACK').payload('a longer answer'));
      const size = talk.ask('SYN').bytes().length;
      expect(node.flows()).toMatchObject([
        {
          from: from.name,
          to: to.name,
          protocol: 6,
          ports: [40000, 80],
          isProxyLeg: false,
          asked: { packets: 2, bytes: 2 * size + 8 },
          answered: { packets: 2, bytes: 2 * size + 15 },
          entry: { sourceIdentity: from.identity, destinationIdentity: to.identity },
        },
      ]);
    });

    it('are told apart by port where the addresses are the same', () => {
      for (const [from, to] of [
        [40000, 80],
        [40001, 80],
        [80, 40000],
      ] as const) {
        node.send(client, conversation({ family, from: client, to: server, over: tcp(from, to) }).ask('SYN'));
      }
      expect(node.flows()).toHaveLength(3);
    });

    it('have a minute to be established, and then hours', () => {
      node.send(client, http.ask('SYN'));
      expect(node.flows()).toMatchObject([{ flags: [] }]);
      expectLeft(openingSeconds);
      node.pass(30_000);
      node.send(server, http.answer('SYN ACK'));
      expect(node.flows()).toMatchObject([{ flags: ['replySeen'] }]);
      expectLeft(openingSeconds);
      node.send(client, http.ask('ACK'));
      expect(node.flows()).toMatchObject([{ flags: ['replySeen', 'established'] }]);
      expectLeft(establishedSeconds);
    });

    it('are closing after both ends have finished, in either order', () => {
      handshake();
      node.send(server, http.answer('FIN ACK'));
      expectLeft(establishedSeconds);
      node.send(client, http.ask('ACK'));
      expectLeft(establishedSeconds);
      node.send(client, http.ask('FIN ACK'));
      expectLeft(closingSeconds);
      expect(node.flows()[0]?.flags).toEqual(['replySeen', 'finForward', 'finReply', 'closing', 'established']);
      expect(node.send(server, http.answer('ACK')).verdict).toBe('to client');
      expectLeft(closingSeconds);
    });

    it.each([
      { title: 'from the end that opened it', reset: () => node.send(client, http.ask('RST')) },
      { title: 'from the other end', reset: () => node.send(server, http.answer('RST ACK')) },
    ])('are closing after a reset $title', ({ reset }) => {
      handshake();
      expect(reset().verdict).toMatch(/^to /);
      expectLeft(closingSeconds);
    });

    it('are closing when the first answer is a reset', () => {
      node.send(client, http.ask('SYN'));
      node.send(server, http.answer('RST ACK'));
      expectLeft(closingSeconds);
    });

    describe('when only the client may ask', () => {
      // Nobody may open a connection to the client, and the client's way out is open.
      const closed = () => node.setPolicy(client, { ingress: [] });

      it('pass answers as long as they live', () => {
        closed();
        handshake();
        node.pass((establishedSeconds - 60) * 1000);
        expect(node.send(server, http.answer()).verdict).toBe('to client');
      });

      it.each([
        { title: 'opening', seconds: openingSeconds, prepare: () => node.send(client, http.ask('SYN')) },
        { title: 'established', seconds: establishedSeconds, prepare: () => handshake() },
        {
          title: 'closing',
          seconds: closingSeconds,
          prepare: () => {
            handshake();
            node.send(client, http.ask('RST'));
          },
        },
      ])('pass no answer once they have expired: $title', ({ seconds, prepare }) => {
        closed();
        prepare();
        node.pass(seconds * 1000 * tickScale + 10);
        expect(node.send(server, http.answer()).verdict).toBe('dropped: policyDenied ingress');
        // The entry is of no use to the one who answers, but the one who may ask begins anew.
        expect(node.send(client, http.ask()).verdict).toBe('to server');
        expect(node.send(server, http.answer()).verdict).toBe('to client');
      });

      it.each(['ACK', 'SYN ACK', 'RST', 'FIN ACK', 'PSH ACK'])('pass no %s that answers nothing', (flags) => {
        closed();
        expect(node.send(server, http.answer(flags)).verdict).toBe('dropped: policyDenied ingress');
        expect(node.flows()).toEqual([]);
      });

      it('pass no SYN the other way, and go on as if it had not been', () => {
        closed();
        handshake();
        expect(node.send(server, http.answer('SYN')).verdict).toBe('dropped: policyDenied ingress');
        expect(node.flows()).toMatchObject([
          { from: 'client', asked: { packets: 2 }, flags: ['replySeen', 'established'] },
        ]);
        expect(node.send(server, http.answer()).verdict).toBe('to client');
      });

      it.each([
        { title: 'SYN FIN', flags: 'SYN FIN' },
        { title: 'SYN RST', flags: 'SYN RST' },
        { title: 'SYN PSH URG', flags: 'SYN PSH URG' },
      ])('pass no $title the other way', ({ flags }) => {
        closed();
        handshake();
        expect(node.send(server, http.answer(flags)).verdict).toBe('dropped: policyDenied ingress');
      });
    });

    it('are judged anew by a SYN, whatever is remembered of their ports', () => {
      handshake();
      node.setPolicy(server, { ingress: [] });
      expect(node.send(client, http.ask('SYN')).verdict).toBe('dropped: policyDenied ingress');
      node.setPolicy(server, {});
      expect(node.send(client, http.ask('SYN')).verdict).toBe('to server');
      expect(node.flows()).toMatchObject([
        { from: 'client', flags: [], asked: { packets: 1 }, answered: { packets: 0 } },
      ]);
    });

    it('change their direction when the other end opens the same ports and may', () => {
      handshake();
      expect(node.send(server, http.answer('SYN')).verdict).toBe('to client');
      expect(node.flows()).toMatchObject([{ from: 'server', to: 'client', ports: [80, 40000] }]);
      expect(node.send(client, http.ask('SYN ACK')).verdict).toBe('to server');
    });

    it('may be opened by both ends at once (RFC 9293 3.5)', () => {
      const both: [Party, ReturnType<typeof http.ask>, string][] = [
        [client, http.ask('SYN'), 'to server'],
        [server, http.answer('SYN'), 'to client'],
        [client, http.ask('SYN ACK'), 'to server'],
        [server, http.answer('SYN ACK'), 'to client'],
        [client, http.ask(), 'to server'],
        [server, http.answer(), 'to client'],
      ];
      for (const [from, frame, verdict] of both) expect(node.send(from, frame).verdict).toBe(verdict);
      expect(node.flows()).toMatchObject([{ flags: ['replySeen', 'established'] }]);
    });

    it('that were running before they were seen are taken up from either end', () => {
      expect(node.send(server, http.answer()).verdict).toBe('to client');
      expect(node.send(client, http.ask()).verdict).toBe('to server');
      expect(node.flows()).toMatchObject([{ from: 'server' }]);
    });

    it('of a pod with itself are delivered to it', () => {
      const self = conversation({ family, from: client, to: client, over: tcp(40000, 80) });
      expect(node.send(client, self.ask('SYN')).verdict).toBe('to client');
      expect(node.send(client, self.answer('SYN ACK')).verdict).toBe('to client');
      expect(node.flows()).toMatchObject([{ ports: [40000, 80], answered: { packets: 1 } }]);
    });
  });
});
