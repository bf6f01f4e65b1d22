// SPDX-License-Identifier: Apache-2.0
// An agent that finds something else than it left: programs of another build, or nothing at all in the kernel.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { endpointTraces, kernelObjects } from './testing/inventory.ts';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { exchange, httpServer } from './testing/http.ts';
import type { Connection, Listener } from './testing/puppet.ts';
import { expectTalking, expectTcpDropped, expectTcpEcho, openConnection } from './testing/reach.ts';
import { without } from './testing/services.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';
import { distDirectory } from './testing/weir.ts';

const [isServer, isFriend] = [{ app: 'server' }, { app: 'friend' }];
const [echoPort, plainPort, httpPort] = [7000, 7001, 8080];
const friendsOnly = policy('friends', isServer, {
  ingress: [
    { ...fromPods(isFriend), ...onPort(plainPort) },
    { ...fromPods(isFriend), ...onPort(echoPort) },
    { ...fromPods(isFriend), ...onHttp(httpPort, { path: '/yes' }) },
  ],
});

const objects = ['weir.bpf.o', 'weir_sock.bpf.o'];
const dist = mkdtempSync(join(tmpdir(), 'weir-upgrade-'));
cpSync(distDirectory, dist, { recursive: true });
afterAll(() => rmSync(dist, { recursive: true }));

let server: PlayedPod, friend: PlayedPod, stranger: PlayedPod, listener: Listener;
const test = useLab(
  'upgrade',
  async ({ pod }) => {
    [server, friend, stranger] = await Promise.all([
      pod('server', { labels: isServer, ...httpServer(httpPort) }),
      pod('friend', { labels: isFriend }),
      pod('stranger', { labels: { app: 'stranger' } }),
    ]);
    listener = await server.listen(plainPort);
    await server.echo(echoPort, [server.ipv4, server.ipv6]);
  },
  { distDirectory: dist },
);

async function expectPoliced(): Promise<void> {
  for (const family of families) {
    await expectTcpEcho(friend, { address: server[family], port: echoPort });
    await expectTcpDropped(test, { client: stranger, target: { address: server[family], port: echoPort } });
  }
}

/** The same programs, in objects that are not the same. */
function rebuild(): void {
  const note = join(dist, 'note');
  writeFileSync(note, `${Math.random()}`);
  for (const name of objects) {
    const object = join(dist, 'bpf', name);
    execFileSync('llvm-objcopy', ['--remove-section=.note.weir', `--add-section=.note.weir=${note}`, object]);
  }
}

describe('an agent of another build', () => {
  it('replaces the programs, keeps the maps, and no connection notices', async () => {
    await test.apply(friendsOnly);
    const connections = await Promise.all(
      families.map((family) =>
        openConnection(friend, { listener, target: { address: server[family], port: plainPort } }),
      ),
    );
    const http: Connection = await friend.connect({ address: server.ipv6, port: httpPort });
    expect(await exchange(http, '/yes')).toMatchObject({ status: 200 });
    const before = await kernelObjects(test.lab);
    const bytes = 20_000_000;
    const transfers = connections.map(({ client, server: far }) =>
      Promise.all([client.pour(bytes, 5), far.drain(bytes)]),
    );
    rebuild();
    await without(test.lab, ['node1/agent'], async () => undefined);
    await test.logEventsAnew();

    for (const [sent, received] of await Promise.all(transfers)) expect(received).toBe(sent);
    for (const { client, server: far } of connections) await expectTalking(client, far);
    expect(await exchange(http, '/yes')).toMatchObject({ status: 200 });
    expect(await exchange(http, '/no')).toMatchObject({ status: 403 });
    await expectPoliced();
    const after = await kernelObjects(test.lab);
    const of = (objects: Readonly<Record<string, number>>, kind: string): object =>
      Object.fromEntries(Object.entries(objects).filter(([pin]) => pin.startsWith(kind)));
    expect(of(after, 'maps')).toEqual(of(before, 'maps'));
    expect(of(after, 'links')).toEqual(of(before, 'links'));
    const programs = Object.values(of(before, 'programs'));
    expect(Object.values(of(after, 'programs')).filter((id) => programs.includes(id))).toEqual([]);
    expect(readdirSync(join(test.lab.paths.node('node1').bpfRoot, 'programs'))).toHaveLength(objects.length);
  });
});

describe('an agent that finds nothing in the kernel', () => {
  it('makes it again, and its pods are connected and policed as before', async () => {
    await test.apply(friendsOnly);
    const before = await endpointTraces(test.lab);
    await without(test.lab, ['node1/agent', 'node1/l7-proxy'], async () => {
      const { bpfRoot } = test.lab.paths.node('node1');
      for (const kind of ['links', 'programs', 'maps']) rmSync(join(bpfRoot, kind), { recursive: true });
    });
    await test.logEventsAnew();
    expect(await endpointTraces(test.lab)).toEqual(before);
    await expectPoliced();
    const http = await friend.connect({ address: server.ipv4, port: httpPort });
    expect(await exchange(http, '/yes')).toMatchObject({ status: 200 });
    expect(await exchange(http, '/no')).toMatchObject({ status: 403 });
    const late = await test.pod('late', { labels: isFriend });
    await expectTcpEcho(late, { address: server.ipv6, port: echoPort });
    await test.lab.removePod('late');
  });
});

describe('an agent that is stopped in good order', () => {
  it('leaves pods connected and policed, and finds them again', async () => {
    await test.apply(friendsOnly);
    const [connection, before] = [
      await openConnection(friend, { listener, target: { address: server.ipv4, port: plainPort } }),
      await kernelObjects(test.lab),
    ];
    await test.lab.stopService('node1/agent', 'SIGTERM');
    const exit = (await test.lab.services()).find(({ name }) => name === 'node1/agent')?.lastExit;
    expect(exit).toMatchObject({ status: 0, signal: null });
    await expectTalking(connection.client, connection.server);
    await expect(stranger.connect({ address: server.ipv4, port: echoPort }, 300)).rejects.toMatchObject({
      code: 'NOT_CONNECTED',
    });
    await test.lab.startService('node1/agent');
    await test.lab.up();
    await test.logEventsAnew();
    expect(await kernelObjects(test.lab)).toEqual(before);
    await expectPoliced();
  });
});
