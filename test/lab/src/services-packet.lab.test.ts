// SPDX-License-Identifier: Apache-2.0
// Services for callers whose sockets the node does not see, as those of a virtual machine: nobody here is in the cgroup that
// the agents look at, so that every packet to a service is translated on its way.
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { authority, curl, httpServer } from './testing/http.ts';
import { expectTalking, expectTcpEcho, expectUdpEcho, openConnection } from './testing/reach.ts';
import type { Target } from './testing/puppet.ts';
import { serviceApi, type ServiceApi } from './testing/service-api.ts';
import { without } from './testing/services.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const [wordPort, echoPort, peerPort, httpPort, servicePort, closedPort] = [7000, 7001, 7002, 8080, 80, 7009];
const serviceAddress = { ipv4: '10.96.0.10', ipv6: 'fd00:10:96::a' } as const;
const at = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
const frontends = (port: number): string[] =>
  families.flatMap((family) => ['TCP', 'UDP'].map((protocol) => `${at(serviceAddress[family], port)}/${protocol}`));

const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';
const nobodys = `${root}/weir-nobody-${process.pid}`;
beforeAll(() => mkdirSync(nobodys));

let client: PlayedPod, near: PlayedPod, far: PlayedPod, node: PlayedHost, world: PlayedHost, services: ServiceApi;
const test = useLab(
  'svcpkt',
  async ({ pod, host, lab }) => {
    [client, near, far, node, world] = await Promise.all([
      pod('client', { node: 'node1', labels: { app: 'client' } }),
      pod('near', { node: 'node1', labels: { app: 'server' }, ...httpServer(httpPort) }),
      pod('far', { node: 'node2', labels: { app: 'server' } }),
      host('@node1'),
      host('@world'),
    ]);
    for (const each of [client, near, far, node, world]) {
      const addresses = [each.ipv4, each.ipv6];
      await each.announce({ port: wordPort, addresses }, each.name);
      await each.echo(echoPort, addresses);
    }
    services = serviceApi(lab);
  },
  { nodeCount: 2, routing: 'overlay', agentArguments: ['--cgroup', nobodys] },
);
afterAll(() => rmdirSync(nobodys));

type Server = PlayedPod | PlayedHost;
const backends = (servers: readonly Server[], port: number, state = 'active') =>
  servers.flatMap((server) => families.map((family) => ({ address: server[family], port, state })));
const set = (name: string, port: number, list: Parameters<ServiceApi['set']>[1]['backends']): Promise<void> =>
  services.set(name, { frontends: frontends(port), backends: list });

/**
 * A SYN is dropped, and that is reported. The kernel reports so many events a second, and many connections were made above: a
 * SYN that is sent again is reported when there is room.
 */
async function expectDrop(from: PlayedPod, target: Target, pattern: object): Promise<void> {
  const since = test.events.mark();
  void from.connect(target, 8_000).catch(() => undefined);
  await test.events.find(since, { type: 'drop', ...pattern });
}

describe.each(families)('a service over %s', (family) => {
  const target = (port = servicePort) => ({ address: serviceAddress[family], port });

  it.each(['TCP', 'UDP'] as const)('spreads clients over its backends by their weights, %s', async (protocol) => {
    const weights = [
      [near, 1],
      [far, 3],
    ] as const;
    await services.set('word', {
      frontends: frontends(servicePort),
      backends: weights.map(([server, weight]) => ({ address: server[family], port: wordPort, weight })),
    });
    const count = 1000;
    const words = await client.tally({ ...target(), protocol }, count);
    expect(Object.keys(words).sort()).toEqual(['far', 'near']);
    expect((words['near'] ?? 0) + (words['far'] ?? 0)).toBe(count);
    // Five standard deviations: one run in a million.
    expect(Math.abs((words['near'] ?? 0) - count / 4)).toBeLessThan(5 * Math.sqrt(count * 0.25 * 0.75));
    await services.delete('word');
  });

  it.each([
    ['a pod of the node', () => near],
    ['a pod of another node', () => far],
    ['the node itself', () => node],
    ['the client itself', () => client],
    ['a server outside', () => world],
  ] as const)('leads to %s, whole and in fragments, and answers in its own name', async (_, server) => {
    await set('echo', 90, backends([server()], echoPort));
    await expectTcpEcho(client, target(90));
    await expectUdpEcho(client, target(90));
    const big = 'x'.repeat(4_000);
    expect(await client.ask(target(90), big)).toBe(big);
    const socket = await client.bind(0);
    await socket.send(target(90), 'who?');
    expect(await socket.receive()).toMatchObject({ address: serviceAddress[family], port: 90 });
    await socket.close();
    await services.delete('echo');
  });

  it('is what the client sees, and the client is what the backend sees, however much they say', async () => {
    for (const server of [near, far]) {
      await set('peer', 91, backends([server], peerPort));
      const listener = await server.listen(peerPort);
      const open = await openConnection(client, { listener, target: target(91) });
      expect(open.client).toMatchObject({ remoteAddress: serviceAddress[family], remotePort: 91 });
      expect(open.server.remoteAddress).toBe(client[family]);
      await expectTalking(open.client, open.server);
      const [sent, received] = await Promise.all([open.client.pour(1 << 20), open.server.drain(1 << 20)]);
      expect(received).toBe(sent);
      const [back, returned] = await Promise.all([open.server.pour(1 << 20), open.client.drain(1 << 20)]);
      expect(returned).toBe(back);
      await listener.close();
    }
    await services.delete('peer');
  });

  it('tells of a port where nobody is, and drops what has no backend', async () => {
    await test.logEventsAnew();
    for (const server of [near, client]) {
      await set('closed', 92, backends([server], closedPort));
      await expect(client.connect(target(92))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await expect(client.ask(target(92), 'anybody?')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
    await set('closed', 92, []);
    await expectDrop(client, target(92), { from: 'client', port: 92, reason: 'Service backend not found' });
    await services.delete('closed');
  });

  it('keeps connections while its backends drain, go, and the service with them, and without the agent', async () => {
    await set('open', 93, backends([near], echoPort));
    const connection = await client.connect(target(93));
    const talk = async (): Promise<void> => {
      await connection.send('still there?');
      expect(await connection.receive(12)).toBe('still there?');
    };
    await talk();
    await set('open', 93, [...backends([near], echoPort, 'terminating'), ...backends([far], echoPort)]);
    await talk();
    await without(test.lab, ['node1/agent'], async () => {
      await talk();
      await expectTcpEcho(client, target(93));
      await expectUdpEcho(client, target(93));
    });
    await test.logEventsAnew();
    await set('open', 93, backends([far], echoPort));
    await talk();
    await services.delete('open');
    await talk();
    await connection.close();
  });

  it('loses no client when backends come and go', async () => {
    const change = (servers: readonly PlayedPod[], draining: readonly PlayedPod[] = []): Promise<void> =>
      set('changing', 94, [...backends(servers, wordPort), ...backends(draining, wordPort, 'terminating')]);
    await change([near, far]);
    let isOver = false;
    const clients = (['TCP', 'UDP'] as const).map(async (protocol) => {
      const heard = new Set<string>();
      while (!isOver || heard.size < 2) {
        for (const word of Object.keys(await client.tally({ ...target(94), protocol }, 50))) heard.add(word);
      }
      return [...heard].sort();
    });
    for (let round = 0; round < 5; round++) {
      await change([far], [near]);
      await change([far]);
      await change([near, far]);
      await change([near]);
      await change([near, far]);
    }
    isOver = true;
    expect(await Promise.all(clients)).toEqual([
      ['far', 'near'],
      ['far', 'near'],
    ]);
    await services.delete('changing');
  });

  it('is judged by the policy of the backend, on its port, also on HTTP', async () => {
    // So many connections were made above that the log may have lost its place.
    await test.logEventsAnew();
    await set('policed', 95, backends([near], echoPort));
    await set('web', 96, backends([near], httpPort));
    const allowed = { ...fromPods({ app: 'client' }), ...onPort(echoPort, 'ANY') };
    const web = { ...fromPods({ app: 'client' }), ...onHttp(httpPort, { path: '/yes' }) };
    await test.apply(policy('server', { app: 'server' }, { ingress: [allowed, web] }));
    await expectTcpEcho(client, target(95));
    await expectUdpEcho(client, target(95));
    const get = async (path: string): Promise<number> =>
      (await curl(test.lab, 'client', `http://${authority(serviceAddress[family], 96)}${path}`)).status;
    expect([await get('/yes'), await get('/no')]).toEqual([200, 403]);
    await test.apply(policy('server', { app: 'server' }, { ingress: [{ ...allowed, ...onPort(95, 'ANY') }] }));
    const dropped = { from: 'client', to: 'near', port: echoPort, reason: 'Policy denied' };
    await expectDrop(client, target(95), dropped);
    await Promise.all(['policed', 'web'].map((name) => services.delete(name)));
  });
});
