// SPDX-License-Identifier: Apache-2.0
// Between nodes: a new pod is known before it can speak, and an address says nothing of who had it before.
import { describe, expect, it } from '@jest/globals';
import { logEvents } from './testing/events.ts';
import { fromPods, policy } from './testing/policy.ts';
import { expectTalking, expectTcpEcho, openConnection } from './testing/reach.ts';
import { without } from './testing/services.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';

const [isServer, isFriend, isStranger] = [{ app: 'server' }, { app: 'friend' }, { app: 'stranger' }];
const [echoPort, port, teamPort, clientPort] = [7000, 7001, 7002, 45_000];
const friendsOnly = policy('friends', isServer, {
  ingress: [{ ...fromPods(isFriend) }],
});

describe.each(['direct', 'overlay'] as const)('with %s routing', (routing) => {
  let server: PlayedPod;
  const test = useLab(
    `time${routing}`,
    async ({ pod }) => {
      server = await pod('server', { node: 'node2', labels: isServer });
      await server.echo(echoPort, [server.ipv4, server.ipv6]);
      // Their identities are known everywhere: only the pods to come are new.
      await pod('friend', { node: 'node1', labels: isFriend });
      await pod('stranger', { node: 'node1', labels: isStranger });
    },
    { nodeCount: 2, routing },
  );

  it('the very first packet of a new pod is judged by who it is', async () => {
    await test.apply(friendsOnly);
    const events = await logEvents(test.lab, 'node2');
    const since = events.mark();
    for (let count = 0; count < 5; count++) {
      const late = await test.pod('late', { node: 'node1', labels: isFriend });
      for (const family of families) await expectTcpEcho(late, { address: server[family], port: echoPort });
      await test.lab.removePod('late');
    }
    // A drop that is certain marks the end of what is looked at.
    const stranger = await test.pod('last', { node: 'node1', labels: isStranger });
    const target = { address: server.ipv4, port: echoPort };
    await expect(stranger.connect(target, 300)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    const first = await events.find(since, { type: 'drop', address: server.ipv4, port: echoPort });
    expect(first.source).toMatchObject({ identity: stranger.identity, address: stranger.ipv4 });
    await test.lab.removePod('last');
    events.stop();
  });

  it('what a pod may do with its old labels and its new ones, it may do all the while', async () => {
    const inTeam = { team: 'blue' };
    const mover = await test.pod('mover', { node: 'node1', labels: { ...inTeam, release: '0' } });
    await test.apply(policy('team', isServer, { ingress: [{ ...fromPods(inTeam) }] }));
    const events = await logEvents(test.lab, 'node2');
    const since = events.mark();
    const listener = await server.listen(teamPort);
    const talks = [];
    for (const family of families) {
      const target = { address: server[family], port: teamPort };
      talks.push({ family, open: await openConnection(mover, { listener, target }) });
    }
    let isOver = false;
    const talking = Promise.all(
      talks.map(async ({ family, open }) => {
        do {
          await expectTalking(open.client, open.server);
          await expectTcpEcho(mover, { address: server[family], port: echoPort });
        } while (!isOver);
      }),
    );
    // Awaited below; until then it must not count as unhandled.
    talking.catch(() => undefined);
    try {
      // Nobody has had these labels before: each change makes an identity that the other node has yet to hear of.
      for (const release of ['1', '2', '3']) await test.lab.labelPod('mover', { set: { release } });
    } finally {
      isOver = true;
    }
    await talking;
    // A drop that is certain marks the end of what is looked at.
    const stranger = await test.pod('last', { node: 'node1', labels: isStranger });
    await expect(stranger.connect({ address: server.ipv4, port: echoPort }, 300)).rejects.toMatchObject({});
    await events.find(since, { type: 'drop', from: 'last' });
    expect(events.all(since, { type: 'drop', from: 'mover' })).toEqual([]);
    await Promise.all(['last', 'mover'].map((name) => test.lab.removePod(name)));
    await listener.close();
    events.stop();
  });

  it.each(families)('an address that another pod gets at once has nothing of the first, over %s', async (family) => {
    await test.apply(friendsOnly);
    const listener = await server.listen(port);
    const target = { address: server[family], port, localPort: clientPort };
    const names = ['friend', 'stranger'];
    await Promise.all(names.map((name) => test.lab.removePod(name)));
    // Addresses are handed out in turn, and from the beginning by an agent that finds no pods.
    await without(test.lab, ['node1/agent'], async () => undefined);
    const friend = await test.pod('friend', { node: 'node1', labels: isFriend });
    await openConnection(friend, { listener, target });
    await test.lab.removePod('friend');
    await without(test.lab, ['node1/agent'], async () => undefined);
    const events = await logEvents(test.lab, 'node2');
    const since = events.mark();
    const stranger = await test.pod('stranger', { node: 'node1', labels: isStranger });
    expect(stranger[family]).toBe(friend[family]);
    await expect(stranger.connect(target, 300)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    const drop = await events.find(since, { type: 'drop', address: server[family], port });
    expect(drop).toMatchObject({ reason: 'Policy denied', source: { identity: stranger.identity } });
    await listener.close();
    events.stop();
    await test.pod('friend', { node: 'node1', labels: isFriend });
  });
});
