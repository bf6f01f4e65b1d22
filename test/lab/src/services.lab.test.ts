// SPDX-License-Identifier: Apache-2.0
// Services at the socket: whoever calls the address of a service reaches one of its backends, and sees the service.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { fromPods, onPort, policy } from './testing/policy.ts';
import { expectTcpEcho, expectUdpEcho } from './testing/reach.ts';
import { serviceApi, type ServiceApi } from './testing/service-api.ts';
import { eventually, kill, without } from './testing/services.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const [wordPort, echoPort, servicePort, emptyPort] = [7000, 7001, 80, 81];
const serviceAddress = { ipv4: '10.96.0.10', ipv6: 'fd00:10:96::a' } as const;
const at = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
const frontends = (port: number): string[] =>
  families.flatMap((family) => ['TCP', 'UDP'].map((protocol) => `${at(serviceAddress[family], port)}/${protocol}`));
const backendsOf = (pods: readonly PlayedPod[], port: number): string[] =>
  pods.flatMap((pod) => families.map((family) => at(pod[family], port)));

let client: PlayedPod, servers: PlayedPod[], node: PlayedHost, services: ServiceApi;
const test = useLab('svc', async ({ pod, host, lab }) => {
  [client, node, ...servers] = (await Promise.all([
    pod('client', { labels: { app: 'client' } }),
    host('@node1'),
    ...['a', 'b', 'c'].map((name) => pod(name, { labels: { app: name } })),
  ])) as [PlayedPod, PlayedHost, ...PlayedPod[]];
  for (const server of servers) {
    const addresses = [server.ipv4, server.ipv6];
    await server.announce({ port: wordPort, addresses }, server.name);
    await server.echo(echoPort, addresses);
  }
  services = serviceApi(lab);
});
const target = (family: Family, port = servicePort): { address: string; port: number } => ({
  address: serviceAddress[family],
  port,
});

/** Everybody answered, each as often as its weight makes likely: five standard deviations are one run in a million. */
function expectSpread(
  words: Readonly<Record<string, number>>,
  weights: Readonly<Record<string, number>>,
  deviations = 5,
): void {
  const count = Object.values(words).reduce((sum, each) => sum + each, 0);
  const total = Object.values(weights).reduce((sum, each) => sum + each, 0);
  expect(Object.keys(words).sort()).toEqual(Object.keys(weights).sort());
  for (const [name, weight] of Object.entries(weights)) {
    const share = weight / total;
    const deviation = Math.sqrt(count * share * (1 - share));
    expect(Math.abs((words[name] ?? 0) - count * share)).toBeLessThan(deviations * deviation);
  }
}

const weights = { a: 1, b: 2, c: 5 } as const;
const weighted = () =>
  servers.flatMap((pod) =>
    families.map((family) => ({
      ...{ address: pod[family], port: wordPort, weight: weights[pod.name as keyof typeof weights] },
    })),
  );

describe.each(families)('a service over %s', (family) => {
  beforeAll(() => services.set('word', { frontends: frontends(servicePort), backends: weighted() }));

  it.each(['TCP', 'UDP'] as const)(
    'spreads 10,000 clients over its backends by their weights, %s',
    async (protocol) => {
      expectSpread(await client.tally({ ...target(family), protocol }, 10_000), weights);
    },
  );

  it.each(['round-robin', 'maglev'])(
    'spreads 10,000 clients by weight as well when it chooses %s',
    async (selection) => {
      await services.set('chosen', { frontends: frontends(98), backends: weighted(), selection });
      // Going round leaves nothing to chance but the beginning.
      const deviations = selection === 'maglev' ? 5 : 3;
      for (const protocol of ['TCP', 'UDP'] as const) {
        expectSpread(await client.tally({ ...target(family, 98), protocol }, 5_000), weights, deviations);
      }
      await services.delete('chosen');
    },
  );

  it('is what a client sees as its peer, and the client is what the backend sees', async () => {
    const [server] = servers;
    await services.set('peer', {
      frontends: [at(serviceAddress[family], 90)],
      backends: [at(server!.ipv4, 7002), at(server!.ipv6, 7002)],
    });
    const listener = await server!.listen(7002);
    const [connection, far] = await Promise.all([client.connect(target(family, 90)), listener.accept()]);
    expect([connection.remoteAddress, connection.remotePort]).toEqual([serviceAddress[family], 90]);
    expect(far.remoteAddress).toBe(client[family]);
    await listener.close();
    await services.delete('peer');
  });

  it('answers the sockets of its node, too', async () => {
    expectSpread(await node.tally({ ...target(family), protocol: 'TCP' }, 500), weights);
  });

  it('answers from its own address to sockets without a connection, which stay with their backend', async () => {
    const socket = await client.bind(0);
    const heard = new Set<string>();
    for (let attempt = 0; attempt < 20; attempt++) {
      await socket.send(target(family), 'who?');
      const { text, address, port } = await socket.receive();
      expect([address, port]).toEqual([serviceAddress[family], servicePort]);
      heard.add(text);
    }
    expect(heard.size).toBe(1);
    await socket.close();
  });

  it('ends connected sockets of a backend that is gone, and moves the others', async () => {
    const [first, second] = servers as [PlayedPod, PlayedPod];
    const frontend = `${at(serviceAddress[family], 95)}/UDP`;
    await services.set('moving', { frontends: [frontend], backends: backendsOf([first], wordPort) });
    const moving = await client.bind(0);
    const connected = await client.bind(0, target(family, 95));
    for (const socket of [moving, connected]) {
      await socket.send(socket === moving ? target(family, 95) : undefined, 'who?');
      expect((await socket.receive()).text).toBe('a');
    }
    await services.set('moving', { frontends: [frontend], backends: backendsOf([second], wordPort) });
    await moving.send(target(family, 95), 'who?');
    expect(await moving.receive()).toMatchObject({ text: 'b', address: serviceAddress[family], port: 95 });
    await expect(connected.receive()).rejects.toMatchObject({ code: 'ECONNABORTED' });
    await Promise.all([moving, connected].map((socket) => socket.close()));
    await services.delete('moving');
  });

  it('is refused at once when it has no backends', async () => {
    await services.set('empty', { frontends: [`${at(serviceAddress[family], emptyPort)}/TCP`], backends: [] });
    await expect(client.connect(target(family, emptyPort))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await services.delete('empty');
  });

  it('is an address like any other once it is deleted', async () => {
    await services.set('brief', {
      frontends: [at(serviceAddress[family], 91)],
      backends: backendsOf(servers, echoPort),
    });
    await expectTcpEcho(client, target(family, 91));
    await services.delete('brief');
    await expect(client.connect(target(family, 91), 250)).rejects.toMatchObject({
      code: expect.stringMatching(/NOT_CONNECTED|ENETUNREACH|EHOSTUNREACH/),
    });
  });
});

describe('backends that come and go', () => {
  const changing = async (...names: readonly string[]): Promise<void> => {
    const states = new Map(names.map((name) => name.split(' ') as [string, string | undefined]));
    const backends = servers.flatMap((pod) =>
      families.flatMap((family) =>
        states.has(pod.name) ? [{ address: pod[family], port: wordPort, state: states.get(pod.name) ?? 'active' }] : [],
      ),
    );
    await services.set('changing', { frontends: frontends(96), backends });
  };

  it.each(families)('cost no client anything, over %s', async (family) => {
    await changing('a', 'b');
    let isOver = false;
    const clients = (['TCP', 'UDP'] as const).map(async (protocol) => {
      const heard = new Set<string>();
      while (!isOver) {
        for (const word of Object.keys(await client.tally({ ...target(family, 96), protocol }, 100))) heard.add(word);
      }
      return [...heard].sort();
    });
    for (let round = 0; round < 10; round++) {
      await changing('a', 'b', 'c');
      await changing('a terminating', 'b', 'c');
      await changing('b', 'c');
      await changing('b maintenance', 'c');
      await changing('a', 'c terminating');
      await changing('a', 'b');
    }
    isOver = true;
    expect(await Promise.all(clients)).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    await services.delete('changing');
  });

  it.each(families)('leave open connections alone, over %s', async (family) => {
    const [first, second] = servers as [PlayedPod, PlayedPod];
    const [frontend] = [at(serviceAddress[family], 97)];
    const backends = (pod: PlayedPod, state: string) => ({ address: pod[family], port: echoPort, state });
    await services.set('open', { frontends: [frontend], backends: [backends(first, 'active')] });
    const connection = await client.connect(target(family, 97));
    const talk = async (): Promise<void> => {
      await connection.send('still there?');
      expect(await connection.receive(12)).toBe('still there?');
    };
    await talk();
    await services.set('open', {
      ...{ frontends: [frontend], backends: [backends(first, 'terminating'), backends(second, 'active')] },
    });
    await talk();
    await services.set('open', { frontends: [frontend], backends: [backends(second, 'active')] });
    await talk();
    await services.delete('open');
    await talk();
    await connection.close();
  });
});

describe('a client', () => {
  it('may write an IPv4 address in its IPv6 form', async () => {
    const mapped = `::ffff:${serviceAddress.ipv4}`;
    expectSpread(await client.tally({ address: mapped, port: servicePort, protocol: 'TCP' }, 500), weights);
    expectSpread(await client.tally({ address: mapped, port: servicePort, protocol: 'UDP' }, 500), weights);
  });

  it('stays with its backend as long as the affinity of the service says', async () => {
    const frontend = at(serviceAddress.ipv4, 92);
    await services.set('sticky', {
      frontends: [frontend],
      backends: backendsOf(servers, wordPort),
      affinityTimeoutS: 1,
    });
    const words = await client.tally({ ...target('ipv4', 92), protocol: 'TCP' }, 200);
    expect(Object.values(words)).toEqual([200]);
    const [first = ''] = Object.keys(words);
    // The backend drains: the client must go elsewhere, and stays there.
    const drained = backendsOf(servers, wordPort).map((text) => {
      const [, address = '', port] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(text) ?? [];
      const isFirst = servers.some((pod) => pod.name === first && [pod.ipv4, pod.ipv6].includes(address));
      return { address, port: Number(port), state: isFirst ? 'terminating' : 'active' };
    });
    await services.set('sticky', { frontends: [frontend], backends: drained, affinityTimeoutS: 1 });
    const others = await client.tally({ ...target('ipv4', 92), protocol: 'TCP' }, 200);
    expect(Object.values(others)).toEqual([200]);
    expect(Object.keys(others)).not.toContain(first);
    await services.delete('sticky');
  });

  it('may get another backend when it has been away for longer than that', async () => {
    const backends = backendsOf(servers, wordPort);
    // Going round, whoever is chosen anew is chosen another.
    const sticky = {
      frontends: [at(serviceAddress.ipv4, 92)],
      backends,
      affinityTimeoutS: 1,
      selection: 'round-robin',
    };
    await services.set('sticky', sticky);
    const word = async (): Promise<string[]> =>
      Object.keys(await client.tally({ ...target('ipv4', 92), protocol: 'TCP' }, 1));
    const before = await word();
    await eventually('another backend', async () => {
      // Asking keeps it: so never before the time is over.
      await sleep(1_100);
      const now = await word();
      return String(now) !== String(before) || undefined;
    });
    await services.delete('sticky');
  });

  it('shows in what its backends have done', async () => {
    const [server] = servers;
    const address = server!.ipv4;
    await services.set('counted', { frontends: [at(serviceAddress.ipv4, 99)], backends: [at(address, echoPort)] });
    const done = async () => (await services.list()).find(({ name }) => name === 'counted')?.backends?.[0];
    const connection = await client.connect(target('ipv4', 99));
    await connection.send('x'.repeat(1_000));
    await connection.receive(1_000);
    expect(await done()).toMatchObject({ connections: 1, active: 1 });
    await connection.close();
    await eventually('the connection is no longer active', async () => (await done())?.active === 0 || undefined);
    const { sentBytes = 0, receivedBytes = 0 } = (await done()) ?? {};
    for (const bytes of [sentBytes, receivedBytes]) {
      expect(Number(bytes)).toBeGreaterThanOrEqual(1_000);
      expect(Number(bytes)).toBeLessThanOrEqual(1_002);
    }
    await services.delete('counted');
  });

  it('meets all backends of a service without affinity', async () => {
    await services.set('short', { frontends: [at(serviceAddress.ipv4, 93)], backends: backendsOf(servers, wordPort) });
    const words = await client.tally({ ...target('ipv4', 93), protocol: 'TCP' }, 200);
    expect(Object.keys(words).length).toBe(3);
    await services.delete('short');
  });

  it('is judged by the policy of the backend, on the port of the backend', async () => {
    // So many connections were made above that the log may have lost its place.
    await test.logEventsAnew();
    await services.set('echo', { frontends: frontends(94), backends: backendsOf(servers.slice(0, 1), echoPort) });
    await test.apply(
      policy(
        'only-clients',
        { app: 'a' },
        { ingress: [{ ...fromPods({ app: 'client' }), ...onPort(echoPort, 'ANY') }] },
      ),
    );
    for (const family of families) {
      await expectTcpEcho(client, target(family, 94));
      await expectUdpEcho(client, target(family, 94));
      const since = test.events.mark();
      await expect(servers[1]!.connect(target(family, 94), 250)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
      await test.events.find(since, { type: 'drop', from: 'b', to: 'a', port: echoPort, reason: 'Policy denied' });
    }
    await services.delete('echo');
  });
});

describe('an agent that dies', () => {
  it('leaves services as they are, and has them again when it is back', async () => {
    const before = await services.list();
    await without(test.lab, ['node1/agent'], async () => {
      for (const family of families) {
        expectSpread(await client.tally({ ...target(family), protocol: 'TCP' }, 500), weights);
      }
    });
    const names = (list: typeof before): string[] => list.map(({ name }) => name ?? '');
    expect(names(await services.list())).toEqual(names(before));
    await kill(test.lab, 'node1/agent');
    await test.lab.up();
    for (const family of families) {
      expectSpread(await client.tally({ ...target(family), protocol: 'UDP' }, 500), weights);
    }
    await test.logEventsAnew();
  });
});
