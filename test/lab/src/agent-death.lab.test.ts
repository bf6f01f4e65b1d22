// SPDX-License-Identifier: Apache-2.0
// Any process may die at any time: traffic and policy go on, and whoever comes back finds everything as it was.
import { describe, expect, it } from '@jest/globals';
import { kernelObjects } from './testing/inventory.ts';
import { fromPods, nobody, onPort, policy } from './testing/policy.ts';
import type { Listener } from './testing/puppet.ts';
import { expectTalking, expectTcpDropped, expectTcpEcho, expectUdpEcho, openConnection } from './testing/reach.ts';
import { eventually, kill, pidOf, without, type ServiceName } from './testing/services.ts';
import { families, useLab, type Family, type PlayedPod } from './testing/use-lab.ts';

const [isServer, isFriend] = [{ app: 'server' }, { app: 'friend' }];
const [echoPort, plainPort] = [7000, 7001];
const friendsOnly = policy('friends', isServer, {
  ingress: [
    { ...fromPods(isFriend), ...onPort(plainPort) },
    { ...fromPods(isFriend), ...onPort(echoPort, 'ANY') },
  ],
});
// What the walkthrough of a restart may take on a machine that does other things besides.
const backWithinMs = 10_000;

let server: PlayedPod, friend: PlayedPod, stranger: PlayedPod, listener: Listener;
const test = useLab('death', async ({ pod }) => {
  [server, friend, stranger] = await Promise.all([
    pod('server', { labels: isServer }),
    pod('friend', { labels: isFriend }),
    pod('stranger', { labels: { app: 'stranger' } }),
  ]);
  listener = await server.listen(plainPort);
  await server.echo(echoPort, [server.ipv4, server.ipv6]);
});

const target = (family: Family, port = echoPort): { address: string; port: number } => ({
  address: server[family],
  port,
});
const open = (family: Family): ReturnType<typeof openConnection> =>
  openConnection(friend, { listener, target: target(family, plainPort) });

/** While no agent reports drops, that nothing answers must do. */
async function expectSilence(family: Family): Promise<void> {
  const code = 'NOT_CONNECTED';
  await expect(stranger.connect(target(family), 500)).rejects.toMatchObject({ code });
}

const deaths: (readonly ServiceName[])[] = [
  ['node1/agent'],
  ['identity-allocator'],
  ['node1/agent', 'identity-allocator'],
];
describe.each(deaths.map((names) => [names.join(' and '), names] as const))('without %s', (_, names) => {
  it('pods talk as their policy has it, over open connections and new ones', async () => {
    await test.apply(friendsOnly);
    const connections = await Promise.all(families.map(open));
    await without(test.lab, names, async () => {
      for (const { client, server: far } of connections) await expectTalking(client, far);
      for (const family of families) {
        await expectTcpEcho(friend, target(family));
        await expectUdpEcho(friend, target(family));
        await expectSilence(family);
      }
    });
    if (names.includes('node1/agent')) await test.logEventsAnew();
    for (const { client, server: far } of connections) await expectTalking(client, far);
    for (const family of families) await expectTcpDropped(test, { client: stranger, target: target(family) });
  });

  it('a transfer runs across the restart and loses no byte', async () => {
    const bytes = 30_000_000;
    const connections = await Promise.all(families.map(open));
    const transfers = connections.map(({ client, server: far }) =>
      Promise.all([client.pour(bytes, 5), far.drain(bytes)]),
    );
    for (let times = 0; times < 2; times++) {
      await Promise.all(names.map((name) => kill(test.lab, name)));
      await test.lab.up();
    }
    for (const [sent, received] of await Promise.all(transfers)) expect(received).toBe(sent);
    await test.logEventsAnew();
  });
});

describe('an agent that comes back', () => {
  it('adopts maps, programs and links of the one before, and its endpoints', async () => {
    await test.apply(friendsOnly);
    const agent = test.lab.agent();
    const [objects, { endpoints }] = [await kernelObjects(test.lab), await agent.listEndpoints({})];
    const startMs = performance.now();
    await kill(test.lab, 'node1/agent');
    await test.lab.up();
    expect(performance.now() - startMs).toBeLessThan(backWithinMs);
    expect(Object.keys(objects)).toEqual(expect.arrayContaining(['maps/weir_ct_v2', 'links/endpoint-1']));
    expect(await kernelObjects(test.lab)).toEqual(objects);
    const after = (await agent.listEndpoints({})).endpoints;
    const known = ({ id, identity, ipv4, ipv6, policies, state }: (typeof after)[number]): object => {
      return { id, identity, ipv4, ipv6, policies, state };
    };
    expect(after.map(known)).toEqual(endpoints.map(known));
    agent.close();
    await test.logEventsAnew();
  });

  it('makes and removes pods, changes policy and labels', async () => {
    await kill(test.lab, 'node1/agent');
    await test.lab.up();
    await test.logEventsAnew();
    const late = await test.pod('late', { labels: { app: 'late' } });
    for (const family of families) await expectTcpEcho(late, target(family));
    await test.apply(friendsOnly);
    for (const family of families) await expectTcpDropped(test, { client: late, target: target(family) });
    await test.lab.labelPod('late', { set: isFriend });
    for (const family of families) await expectTcpEcho(late, target(family));
    await test.lab.removePod('late');
    await eventually('the pod is gone', async () => (await test.lab.pods()).length === 3 || undefined);
  });

  it('still has the policies, and can take them out of force', async () => {
    await test.apply(friendsOnly);
    await kill(test.lab, 'node1/agent');
    await test.lab.up();
    await test.logEventsAnew();
    await expectTcpDropped(test, { client: stranger, target: target('ipv4') });
    await test.delete(friendsOnly);
    for (const family of families) await expectTcpEcho(stranger, target(family));
  });

  it('judges an open connection by a policy that comes after it', async () => {
    const [connection] = [await open('ipv6')];
    await kill(test.lab, 'node1/agent');
    await test.lab.up();
    await test.logEventsAnew();
    const since = test.events.mark();
    await test.apply(policy('closed', isServer, { ingress: [nobody] }));
    await connection.client.send('lost');
    await test.events.find(since, { type: 'drop', from: 'friend', port: plainPort, reason: 'Policy denied' });
    await connection.client.close();
  });

  it('removes what it is told was removed while it was away', async () => {
    const gone = await test.pod('gone');
    await without(test.lab, ['node1/agent'], async () => void (await test.lab.removePod('gone')));
    const agent = test.lab.agent();
    await eventually('the endpoint is gone', async () => {
      const { endpoints } = await agent.listEndpoints({});
      return endpoints.every(({ id }) => id !== gone.endpointId) || undefined;
    });
    const { entries } = await agent.listIpcache({});
    expect(entries.map(({ prefix }) => prefix)).not.toContain(`${gone.ipv4}/32`);
    agent.close();
    await test.logEventsAnew();
  });
});

describe('while the identity-allocator is away', () => {
  it('a pod with known labels starts, one with new labels waits and says why, and starts when it is back', async () => {
    const agent = test.lab.agent();
    let waiting: Promise<PlayedPod> | undefined;
    await without(test.lab, ['identity-allocator'], async () => {
      const twin = await test.pod('twin', { labels: isFriend });
      expect(twin.identity).toBe(friend.identity);
      await expectTcpEcho(twin, target('ipv6'));
      waiting = test.pod('newcomer', { labels: { app: 'never-seen' } });
      await eventually('the newcomer waits', async () => {
        const { endpoints } = await agent.listEndpoints({});
        return endpoints.find(
          ({ pod, state, reason }) =>
            pod === 'newcomer' &&
            state === 'waiting-for-identity' &&
            reason?.startsWith('the identity of its labels is not known yet'),
        );
      });
      await eventually('the status says what waits', async () => {
        const { components } = await agent.getStatus({});
        return components.find(({ name, state }) => name === 'identity-allocator' && state === 'Warning');
      });
    });
    const newcomer = await waiting!;
    await expectTcpEcho(newcomer, target('ipv4'));
    agent.close();
    await test.lab.removePod('twin');
    await test.lab.removePod('newcomer');
  });

  it('labels change among known ones', async () => {
    await test.apply(friendsOnly);
    await without(test.lab, ['identity-allocator'], async () => {
      expect((await test.lab.labelPod('stranger', { set: isFriend })).identity).toBe(friend.identity);
      await expectTcpEcho(stranger, target('ipv4'));
      await test.lab.labelPod('stranger', { set: { app: 'stranger' } });
      await expectTcpDropped(test, { client: stranger, target: target('ipv4') });
    });
  });

  it('an agent that has just made a pod comes back and enforces a new policy for it', async () => {
    const fresh = await test.pod('fresh', { labels: { app: 'fresh' } });
    await fresh.echo(echoPort, [fresh.ipv4, fresh.ipv6]);
    await without(test.lab, ['identity-allocator'], async () => {
      await kill(test.lab, 'node1/agent');
      await test.lab.up();
      await test.logEventsAnew();
      await expectTcpEcho(friend, { address: fresh.ipv4, port: echoPort });
      await test.apply(policy('closed', { app: 'fresh' }, { ingress: [nobody] }));
      await expectTcpDropped(test, { client: friend, target: { address: fresh.ipv4, port: echoPort } });
    });
    await test.lab.removePod('fresh');
    expect(await pidOf(test.lab, 'identity-allocator')).toBeGreaterThan(0);
  });
});
