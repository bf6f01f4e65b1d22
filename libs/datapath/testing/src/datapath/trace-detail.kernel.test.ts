// SPDX-License-Identifier: Apache-2.0
// Which packets of a running connection are reported, by what its two ends want to know.
import { describe, expect, it } from '@jest/globals';
import { traceDetail } from '@weir/datapath-layout';
import { conversation, tcp, udp } from '../node/conversation.ts';
import { client, families, server, world, type Pod } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';

type Detail = keyof typeof traceDetail;

describePackets('events of a running flow', () => {
  const node = usePacketNode();
  const want = (pod: Pod, detail: Detail): void => node.addPod({ ...pod, detail: traceDetail[detail] });

  describe.each(families)('over %s', (family) => {
    const talk = conversation({ family, from: client, to: server, over: tcp(40000, 80) });
    /** Flags of the packets that were reported, out of a whole connection with a second of data in it. */
    const told = async (): Promise<string[]> => {
      const names: Record<number, string> = { 2: 'SYN', 18: 'SYN ACK', 16: 'ACK', 17: 'FIN ACK', 4: 'RST' };
      const steps: readonly (readonly ['ask' | 'answer', string])[] = [
        ...([
          ['ask', 'SYN'],
          ['answer', 'SYN ACK'],
          ['ask', 'ACK'],
          ['answer', 'ACK'],
        ] as const),
        ...([
          ['answer', 'FIN ACK'],
          ['ask', 'FIN ACK'],
          ['answer', 'RST'],
        ] as const),
      ];
      for (const [way, flags] of steps) node.send(way === 'ask' ? client : server, talk[way](flags));
      return (await node.events()).map(({ type, raw }) => `${type} ${names[raw.tcpFlags]}`);
    };

    it.each<{ detail: Detail; events: readonly string[] }>([
      { detail: 'default', events: ['policyVerdict SYN', 'trace FIN ACK'] },
      { detail: 'verdicts', events: ['policyVerdict SYN'] },
      { detail: 'ends', events: ['policyVerdict SYN', 'trace FIN ACK'] },
      {
        detail: 'flags',
        events: ['policyVerdict SYN', 'trace SYN ACK', 'trace FIN ACK', 'trace FIN ACK', 'trace RST'],
      },
      {
        detail: 'packets',
        events: [
          ...['policyVerdict SYN', 'trace SYN ACK', 'trace ACK', 'trace ACK', 'trace FIN ACK', 'trace FIN ACK'],
          'trace RST',
        ],
      },
    ])('are those that both ends want: $detail', async ({ detail, events }) => {
      for (const pod of [client, server]) want(pod, detail);
      expect(await told()).toEqual(events);
    });

    it.each<[Detail, Detail, number]>([
      ['packets', 'verdicts', 7],
      ['verdicts', 'packets', 7],
      ['verdicts', 'default', 2],
      ['flags', 'ends', 5],
    ])('are those that the end wants which wants to know more: %s and %s', async (one, another, count) => {
      want(client, one);
      want(server, another);
      expect(await told()).toHaveLength(count);
    });

    it.each<[Detail, number, number]>([
      ['flags', 100, 0],
      ['flags', 1_400, 1],
      ['ends', 1_500, 0],
      ['ends', 5_400, 1],
      ['verdicts', 20_000, 0],
    ])('with %s come after %i ms without flags %i times', async (detail, passed, count) => {
      want(client, detail);
      const query = conversation({ family, from: client, to: world, over: udp(40000, 53) });
      node.send(client, query.ask());
      node.pass(passed);
      node.send(client, query.ask());
      node.send(world, query.answer());
      expect((await node.events()).filter(({ type }) => type === 'trace')).toHaveLength(count);
    });

    it('change with a running flow, at the next packet', async () => {
      want(client, 'verdicts');
      node.send(client, talk.ask('SYN'));
      node.send(client, talk.ask());
      want(client, 'packets');
      node.bump();
      node.send(client, talk.ask());
      expect((await node.events()).map(({ type }) => type)).toEqual(['policyVerdict', 'trace']);
    });

    it('leave drops as they are', async () => {
      for (const pod of [client, server]) want(pod, 'verdicts');
      node.setPolicy(server, { ingress: [] });
      node.send(client, talk.ask('SYN'));
      node.send(client, talk.ask('SYN'));
      expect((await node.events()).map(({ type }) => type)).toEqual(['drop', 'drop']);
    });
  });
});
