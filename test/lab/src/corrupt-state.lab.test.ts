// SPDX-License-Identifier: Apache-2.0
// State files that cannot be read: what is left of them is never worse than what the kernel enforces already, nothing is
// opened, nothing is lost that others need, and it is said.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { curl, httpServer } from './testing/http.ts';
import { endpointTraces } from './testing/inventory.ts';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { expectTcpEcho, expectUdpEcho } from './testing/reach.ts';
import { eventually, pidOf, without, type ServiceName } from './testing/services.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';
import { weir } from './testing/weir.ts';

const [isServer, isFriend] = [{ app: 'server' }, { app: 'friend' }];
const [port, httpPort] = [7000, 8080];
const friendsOnly = policy('friends', isServer, { ingress: [{ ...fromPods(isFriend), ...onPort(port, 'ANY') }] });

let server: PlayedPod, friend: PlayedPod, stranger: PlayedPod;
const test = useLab('corrupt', async ({ pod }) => {
  [server, friend, stranger] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(httpPort) }),
    pod('friend', { labels: isFriend }),
    pod('stranger', { labels: { app: 'stranger' } }),
  ]);
  await server.echo(port, [server.ipv4, server.ipv6]);
});
const { stateDirectory } = test.lab.paths.node('node1');
const state = (name: string): string => join(stateDirectory, name);
const log = (name: string): string => readFileSync(join(test.lab.paths.logDirectory, `${name}.log`), 'utf8');

/** The policy holds for the server, whoever else is alive. */
async function expectPoliced(): Promise<void> {
  for (const family of families) {
    const target = { address: server[family], port };
    await expectTcpEcho(friend, target);
    await expectUdpEcho(friend, target);
    await expect(stranger.connect(target, 300)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
  }
}

/** Stops a service, spoils a file of it, and starts it again. */
async function spoil(service: ServiceName, path: string, text: string): Promise<void> {
  await test.lab.stopService(service, 'SIGKILL');
  if (existsSync(path)) renameSync(path, `${path}.sound`);
  writeFileSync(path, text);
  await test.lab.startService(service);
}

/** Starts a service with a spoilt file, and has the sound one in its place afterwards. */
async function withSpoilt(
  [service, path, text]: readonly [ServiceName, string, string],
  work: () => Promise<void>,
): Promise<void> {
  await spoil(service, path, text);
  try {
    await work();
  } finally {
    await test.lab.stopService(service, 'SIGKILL');
    rmSync(path, { force: true });
    if (existsSync(`${path}.sound`)) renameSync(`${path}.sound`, path);
    await test.lab.startService(service);
    await test.lab.up();
  }
}

/** Until the agent can be asked again, also when it is not well. */
const agentAnswers = (): Promise<unknown> =>
  eventually('the agent answers', async () => {
    const agent = test.lab.agent();
    try {
      return await agent.getStatus({}, { deadlineMs: 1_000 });
    } catch {
      return undefined;
    } finally {
      agent.close();
    }
  });

describe.each([
  ['is cut off', '{"version":1,"poli'],
  ['is empty', ''],
  ['is of a newer version', '{"version":99,"policies":[]}'],
  ['holds something else', '{"version":1,"policies":[{"key":5}]}'],
])('policies.json that %s', (_, text) => {
  it('keeps the agent from starting, says why, and what the kernel enforces stays', async () => {
    await test.apply(friendsOnly);
    const path = state('policies.json');
    await withSpoilt(['node1/agent', path, text], async () => {
      await eventually('the agent says what is wrong', () =>
        /CORRUPT_STATE[^]*policies\.json/.test(log('node1-agent')),
      );
      await expectPoliced();
      expect(readFileSync(path, 'utf8')).toBe(text);
    });
  });
});

describe('an endpoint file that cannot be read', () => {
  it('leaves its pod connected and policed, and its number and addresses to nobody else', async () => {
    await test.apply(friendsOnly);
    const before = await endpointTraces(test.lab);
    const file = `endpoints/${server.endpointId}.json`;
    await withSpoilt(['node1/agent', state(file), '{"version":1,'], async () => {
      await agentAnswers();
      await expectPoliced();
      expect(await endpointTraces(test.lab)).toEqual(before);
      const others = await Promise.all(['x', 'y', 'z'].map((name) => test.lab.addPod({ name })));
      expect(others.map(({ endpointId }) => endpointId)).not.toContain(server.endpointId);
      expect(others.map(({ ipv4 }) => ipv4)).not.toContain(server.ipv4);
      await Promise.all(others.map(({ name }) => test.lab.removePod(name)));
    });
    expect(log('node1-agent')).toContain(file);
    await expectPoliced();
  });

  it('is a failure in the status, which names the endpoint', async () => {
    const path = state(`endpoints/${server.endpointId}.json`);
    await withSpoilt(['node1/agent', path, 'x'], async () => {
      await agentAnswers();
      const { status, stdout } = await weir(test.lab, ['status']);
      expect(status).toBe(1);
      expect(stdout).toMatch(new RegExp(`endpoints: *Failure .*endpoint ${server.endpointId}\\b`));
    });
  });

  it('is left alone when it is that of no endpoint', async () => {
    const path = state('endpoints/nonsense.json');
    await withSpoilt(['node1/agent', path, 'x'], async () => {
      await test.lab.up();
      await test.apply(friendsOnly);
      await expectPoliced();
      expect(readFileSync(path, 'utf8')).toBe('x');
    });
  });
});

describe('identities.json', () => {
  it.each([
    ['is cut off', '{"format":1,"epoch":'],
    ['has numbers outside of the range', '{"format":1,"epoch":"x","revision":1,"identities":[[5,"k8s:app=a;"]]}'],
  ])('that %s is put aside, and nobody misses it', async (_, text) => {
    await test.apply(friendsOnly);
    const path = state('identities.json');
    await spoil('node1/agent', path, text);
    await test.lab.up();
    await expectPoliced();
    expect(readFileSync(`${path}.damaged`, 'utf8')).toBe(text);
    const late = await test.lab.addPod({ name: 'late', labels: isFriend });
    expect(late.identity).toBe(friend.identity);
    await test.lab.removePod('late');
  });

  it('that is spoilt while the allocator is away keeps no pod from its policy', async () => {
    await test.apply(friendsOnly);
    await without(test.lab, ['identity-allocator'], async () => {
      await spoil('node1/agent', state('identities.json'), 'x');
      await test.lab.up();
      await expectPoliced();
      await test.delete(friendsOnly);
      for (const family of families) await expectTcpEcho(stranger, { address: server[family], port });
    });
  });
});

describe('the rules of the l7-proxy', () => {
  it('that cannot be read come again from the agent', async () => {
    const onlyYes = policy('http', isServer, { ingress: [onHttp(httpPort, { path: '/yes' })] });
    await test.apply(onlyYes);
    await spoil('node1/l7-proxy', state('l7-proxy/rule-sets.json'), '{');
    await test.lab.up();
    const get = async (path: string): Promise<number> =>
      (await curl(test.lab, 'stranger', `http://${server.ipv4}:${httpPort}${path}`)).status;
    expect([await get('/yes'), await get('/no')]).toEqual([200, 403]);
  });

  it('that cannot be read let nothing through while there is no agent', async () => {
    await test.apply(policy('http', isServer, { ingress: [onHttp(httpPort, { path: '/yes' })] }));
    await without(test.lab, ['node1/agent'], async () => {
      const before = await pidOf(test.lab, 'node1/l7-proxy');
      await spoil('node1/l7-proxy', state('l7-proxy/rule-sets.json'), '{');
      const { status } = await curl(
        test.lab,
        'stranger',
        '--retry',
        '20',
        '--retry-connrefused',
        '--connect-timeout',
        '1',
        `http://${server.ipv4}:${httpPort}/yes`,
      );
      expect([0, 403, 503]).toContain(status);
      expect(await pidOf(test.lab, 'node1/l7-proxy')).not.toBe(before);
    });
  });
});

describe('the store of the identity-allocator', () => {
  const path = join(test.lab.paths.identityDirectory, 'identities.db');

  it('that is no database keeps it from starting, says why, and is left as it is', async () => {
    await test.apply(friendsOnly);
    const text = 'this is no database, and long enough to be taken for the head of one';
    // Ended in order, the allocator leaves everything in the file; a write-ahead log would bring it back.
    await test.lab.stopService('identity-allocator', 'SIGTERM');
    await withSpoilt(['identity-allocator', path, text], async () => {
      await eventually('the allocator says what is wrong', () =>
        /identities\.db\\" is damaged/.test(log('identity-allocator')),
      );
      await expectPoliced();
      const known = await test.lab.addPod({ name: 'known', labels: isFriend });
      expect(known.identity).toBe(friend.identity);
      await test.lab.removePod('known');
      expect(readFileSync(path, 'utf8')).toBe(text);
    });
  });

  it('that is lost learns the numbers in use from the node', async () => {
    await test.apply(friendsOnly);
    await test.lab.stopService('identity-allocator', 'SIGKILL');
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
    await test.lab.startService('identity-allocator');
    await test.lab.up();
    await expectPoliced();
    await eventually('the allocator is connected', async () => {
      const agent = test.lab.agent();
      const { components } = await agent.getStatus({});
      agent.close();
      return components.find(({ name, state: how }) => name === 'identity-allocator' && how === 'Ok');
    });
    const again = await test.lab.addPod({ name: 'again', labels: isFriend });
    const stranger2 = await test.lab.addPod({ name: 'stranger2', labels: { app: 'brand-new' } });
    const identities = (await test.lab.pods()).map(({ identity }) => identity);
    expect(again.identity).toBe((await test.lab.pods()).find(({ name }) => name === 'friend')?.identity);
    expect(identities.filter((identity) => identity === stranger2.identity)).toHaveLength(1);
    await expectPoliced();
    await test.lab.removePod('again');
    await test.lab.removePod('stranger2');
  });
});
