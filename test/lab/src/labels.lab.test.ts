// SPDX-License-Identifier: Apache-2.0
// Labels are what a pod may do. They change while it runs, and what is open changes with them.
import { describe, expect, it } from '@jest/globals';
import { exchange, httpServer } from './testing/http.ts';
import { fromPods, nobody, onHttp, onPort, policy } from './testing/policy.ts';
import type { Listener } from './testing/puppet.ts';
import { expectTalking, expectTcpDropped, expectTcpEcho, openConnection } from './testing/reach.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';

const [isServer, isFriend] = [{ app: 'server' }, { role: 'friend' }];
const [echoPort, plainPort, httpPort] = [7000, 7001, 8080];

let server: PlayedPod, client: PlayedPod, listener: Listener;
const test = useLab('labels', async ({ pod }) => {
  [server, client] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(httpPort) }),
    pod('client', { labels: { app: 'client' } }),
  ]);
  listener = await server.listen(plainPort);
  await server.echo(echoPort, [server.ipv4, server.ipv6]);
});

const befriend = async (): Promise<number> => (await test.lab.labelPod('client', { set: isFriend })).identity;
const forget = async (): Promise<number> => (await test.lab.labelPod('client', { remove: ['role'] })).identity;
const friendsOnly = policy('friends', isServer, {
  ingress: [
    { ...fromPods(isFriend), ...onPort(echoPort) },
    { ...fromPods(isFriend), ...onPort(plainPort) },
    { ...fromPods(isFriend), ...onHttp(httpPort, { path: '/friends' }) },
  ],
});

describe('a pod that is given other labels', () => {
  it('has another identity, and with the old labels the old one', async () => {
    const identity = async (): Promise<number | undefined> =>
      (await test.lab.pods()).find(({ name }) => name === 'client')?.identity;
    const before = await identity();
    const friend = await befriend();
    expect(friend).not.toBe(before);
    expect(await identity()).toBe(friend);
    expect(await forget()).toBe(before);
    expect(await befriend()).toBe(friend);
    await forget();
  });

  it('leaves no entry of an identity that nobody has any more', async () => {
    const agent = test.lab.agent();
    try {
      const identity = await befriend();
      await test.apply(policy('in', isFriend, { ingress: [nobody] }));
      expect((await agent.getIdentity({ id: identity })).identity?.endpoints).toHaveLength(1);
      await forget();
      const { entries } = await agent.listIpcache({});
      expect(entries.filter((entry) => entry.identity === identity)).toEqual([]);
      const endpoints = (await agent.listDatapathEndpoints({})).endpoints.map((each) => each.identity);
      expect(endpoints).not.toContain(identity);
      const subjects = (await agent.listPolicyEntries({})).entries.map((each) => each.subjectIdentity);
      expect(subjects).not.toContain(identity);
    } finally {
      agent.close();
    }
  });

  it.each(families)('may do what they allow, and nothing of what the old ones allowed, over %s', async (family) => {
    const target = { address: server[family], port: echoPort };
    await test.apply(friendsOnly);
    await expectTcpDropped(test, { client, target });
    await befriend();
    await expectTcpEcho(client, target);
    await forget();
    await expectTcpDropped(test, { client, target });
  });

  it.each(families)('loses its open connections with its rights, and gets them back, over %s', async (family) => {
    await befriend();
    await test.apply(friendsOnly);
    const plain = await openConnection(client, { listener, target: { address: server[family], port: plainPort } });
    const http = await client.connect({ address: server[family], port: httpPort });
    await expectTalking(plain.client, plain.server);
    expect(await exchange(http, '/friends')).toMatchObject({ status: 200 });

    await forget();
    const since = test.events.mark();
    await Promise.all([plain.client.send('lost'), plain.server.send('lost'), http.send('GET /friends ')]);
    const reason = 'Policy denied';
    await test.events.find(since, { type: 'drop', from: 'client', port: plainPort, reason });
    await test.events.find(since, { type: 'drop', to: 'client', sourcePort: plainPort, reason });
    await test.events.find(since, { type: 'drop', from: 'client', port: httpPort, reason });

    await befriend();
    expect(await plain.server.receive(4, 20_000)).toBe('lost');
    expect(await plain.client.receive(4, 20_000)).toBe('lost');
    await http.send('HTTP/1.1\r\nhost: server\r\n\r\n');
    expect(await http.receive(1, 20_000)).toMatch(/^HTTP\/1.1 200/);
    await forget();
  });

  it.each(families)('is selected by other policies, over %s', async (family) => {
    const target = { address: server[family], port: echoPort };
    await test.apply(policy('out', isFriend, { egress: [nobody] }));
    await expectTcpEcho(client, target);
    await befriend();
    await expectTcpDropped(test, { client, target });
    await forget();
    await expectTcpEcho(client, target);
  });

  it('is refused labels that are not the user’s to give, and keeps what it has', async () => {
    const before = await test.lab.pods();
    const changing = test.lab.labelPod('client', { set: { 'io.kubernetes.pod.namespace': 'kube-system' } });
    await expect(changing).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('io.kubernetes.pod.namespace'),
    });
    expect(await test.lab.pods()).toEqual(before);
  });
});
