// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock, systemClock } from '@weir/clock';
import { ClusterDirectoryDefinition, type weir } from '@weir/proto';
import { createRpcClient, createRpcServer, type RpcClient, type RpcServer } from '@weir/rpc';
import { createLogger } from '@weir/telemetry';
import { createTurns } from '../service/turns.ts';
import { type Announcement, type ClusterDirectory, createClusterDirectory } from './cluster-directory.ts';
import { createClusterService, type ClusterService } from './cluster-service.ts';

const leaseMs = 60_000;
const log = createLogger({ service: 'test', level: 'silent' });

let path: string;
let clock: ManualClock;
let directory: ClusterDirectory;
let cluster: ClusterService;
let server: RpcServer;
let client: RpcClient<typeof ClusterDirectoryDefinition>;
beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), 'weir-cluster-'));
  clock = createManualClock();
  directory = createClusterDirectory({ epoch: 'e1', leaseMs, clock });
  const store = { away: undefined, onChange: () => () => undefined, catchUp: () => Promise.resolve() };
  const announce = async (announcement: Announcement): Promise<void> => directory.announce(announcement);
  const turns = createTurns({ turnsMax: 1, turnMsMax: 60_000, clock: systemClock });
  cluster = createClusterService({
    directory,
    store,
    announce,
    leaseMs,
    clock: systemClock,
    watchersMax: 2,
    turns,
    log,
  });
  const address = `unix:${path}/s`;
  server = createRpcServer({ services: [cluster.service], listen: [address] });
  await server.start();
  client = createRpcClient(ClusterDirectoryDefinition, { address });
});
afterEach(async () => {
  client.close();
  cluster.close();
  await server.stop({ deadlineMs: 0 });
  rmSync(path, { recursive: true });
});

const nodeOf = (number: number): weir.identity.v1.AnnounceRequest.$Properties => ({
  node: {
    name: `n${number}`,
    addresses: [`192.0.2.${number}`, `2001:db8::${number}`],
    podRanges: [`10.0.${number}.0/24`, `fd00:${number}::/64`],
  },
  endpoints: [{ address: `10.0.${number}.2`, identity: 300 + number, namespace: 'default', pod: `web-${number}` }],
});

const http = { name: 'http', protocol: 6, port: 80 };
const withPorts = (identity: number, ...ports: (typeof http)[]) => ({
  ...nodeOf(1),
  node: { ...nodeOf(1).node!, namedPorts: [{ identity, ports }] },
});

describe('Announce', () => {
  it('says how long it holds', async () => {
    expect(await client.announce(nodeOf(1))).toEqual({ leaseMs, epoch: 'e1' });
  });

  it.each<[string, object, string]>([
    ['a name that is none', { node: { name: 'a b' } }, 'node: "a b" is not a node name'],
    ['an address that is none', { node: { name: 'n1', addresses: ['1.2.3'] } }, 'node.addresses[0]: "1.2.3" is not'],
    ['a range that is none', { node: { name: 'n1', podRanges: ['10.0.0.1/24'] } }, 'node.pod_ranges[0]: '],
    [
      "an endpoint outside of the node's ranges",
      { ...nodeOf(1), endpoints: [{ address: '10.0.2.2', identity: 300 }] },
      `endpoints[0].address: "10.0.2.2" lies in none of the node's pod ranges`,
    ],
    [
      'an identity that no pod has',
      { ...nodeOf(1), endpoints: [{ address: '10.0.1.2', identity: 1 }] },
      'endpoints[0].identity: 1 is not the identity of a pod',
    ],
    [
      'a name that no pod has',
      { ...nodeOf(1), endpoints: [{ address: '10.0.1.2', identity: 300, namespace: 'x', pod: 'y'.repeat(254) }] },
      'endpoints[0].pod: has 254 characters, expected at most 253',
    ],
    [
      'named ports that are none',
      withPorts(300, { ...http, port: 0 }),
      'node.named_ports[0].ports[0]: {"name":"http",',
    ],
    ['a label that is none', { node: { name: 'n1', labels: { '': 'x' } } }, 'node.labels[""]: '],
    ['named ports of nobody', withPorts(1, http), 'node.named_ports[0].identity: 1 is not the identity of a pod'],
  ])('refuses %s and changes nothing', async (_what, request, message) => {
    await expect(client.announce(request)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    });
    expect(directory.revision).toBe(0);
  });

  it('refuses what belongs to another living node, and allows it once that is gone', async () => {
    await client.announce(nodeOf(1));
    const thief = { node: { name: 'n2', addresses: ['192.0.2.9'], podRanges: ['10.0.0.0/16'] } };
    await expect(client.announce(thief)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: 'node: 10.0.0.0/16 belongs to the node "n1"',
    });
    await clock.advance(leaseMs);
    expect(directory.expire()).toEqual(['n1']);
    await client.announce(thief);
  });

  it('keeps a node that tells again in time', async () => {
    await client.announce(nodeOf(1));
    await clock.advance(leaseMs - 1);
    await client.announce(nodeOf(1));
    await clock.advance(leaseMs - 1);
    expect(directory.expire()).toEqual([]);
  });
});

/** Responses until the client knows everything. */
async function read(from: object = {}): Promise<weir.identity.v1.WatchClusterResponse[]> {
  const responses: weir.identity.v1.WatchClusterResponse[] = [];
  for await (const response of client.watchCluster({ node: 'w', ...from })) {
    responses.push(response);
    if (response.synced) break;
  }
  return responses;
}

describe('WatchCluster', () => {
  it('tells the labels of a node, again only when they have changed', async () => {
    const labelled = (labels: Readonly<Record<string, string>>) => ({
      ...nodeOf(1),
      node: { ...nodeOf(1).node!, labels },
    });
    await client.announce(labelled({ pool: 'db', 'example.org/zone': 'a' }));
    expect((await read())[0]?.nodes[0]?.labels).toEqual({ pool: 'db', 'example.org/zone': 'a' });
    const { revision } = directory;
    await client.announce(labelled({ 'example.org/zone': 'a', pool: 'db' }));
    expect(directory.revision).toBe(revision);
    await client.announce(labelled({ pool: 'web' }));
    expect((await read({ epoch: 'e1', afterRevision: revision }))[0]?.nodes[0]?.labels).toEqual({ pool: 'web' });
  });

  it('tells what the pods of a node call their ports, again only when that has changed', async () => {
    await client.announce(withPorts(301, { ...http, name: 'HTTP' }));
    const [response] = await read();
    expect(response?.nodes[0]?.namedPorts).toEqual([{ identity: 301, ports: [http] }]);
    const { revision } = directory;
    await client.announce(withPorts(301, http));
    expect(directory.revision).toBe(revision);
    await client.announce(nodeOf(1));
    const [changed] = await read({ epoch: 'e1', afterRevision: revision });
    expect(changed?.nodes[0]).toMatchObject({ name: 'n1', namedPorts: [] });
  });

  it('sends all that there is, then what changes, then what goes', async () => {
    await client.announce(nodeOf(1));
    const stream = client.watchCluster({ node: 'w' })[Symbol.asyncIterator]();
    const next = async () => (await stream.next()).value as weir.identity.v1.WatchClusterResponse;
    expect(await next()).toMatchObject({ ...{ epoch: 'e1', snapshot: true, synced: true }, ...snapshotOf(1) });
    await client.announce(nodeOf(2));
    expect(await next()).toMatchObject({ snapshot: false, synced: true, ...snapshotOf(2) });
    await client.announce({ ...nodeOf(2), endpoints: [] });
    expect(await next()).toMatchObject({ nodes: [], endpoints: [], deletedEndpoints: ['10.0.2.2'], deletedNodes: [] });
    await clock.advance(leaseMs);
    directory.expire();
    expect(await next()).toMatchObject({ deletedNodes: ['n1', 'n2'], deletedEndpoints: ['10.0.1.2'] });
    await stream.return?.();
  });

  it('tells when an address has another pod, also of the same identity', async () => {
    const pod = { address: '10.0.1.2', identity: 301, namespace: 'default', pod: 'web-1' };
    await client.announce({ ...nodeOf(1), endpoints: [pod] });
    const { revision } = directory;
    await client.announce({ ...nodeOf(1), endpoints: [{ ...pod, pod: 'web-2' }] });
    const [{ endpoints } = {}] = await read({ epoch: 'e1', afterRevision: revision });
    expect(endpoints).toMatchObject([{ ...pod, pod: 'web-2' }]);
  });

  it('says nothing when a node only tells again', async () => {
    await client.announce(nodeOf(1));
    const { revision } = directory;
    await client.announce(nodeOf(1));
    expect(directory.revision).toBe(revision);
  });

  it('continues where a client was, and begins anew in another history', async () => {
    await client.announce(nodeOf(1));
    const [{ revision, epoch }] = (await read()) as [weir.identity.v1.WatchClusterResponse];
    await client.announce(nodeOf(2));
    expect(await read({ epoch, afterRevision: revision })).toMatchObject([{ snapshot: false, ...snapshotOf(2) }]);
    expect(await read({ epoch: 'other', afterRevision: revision })).toMatchObject([{ snapshot: true }]);
  });

  it('cuts what is large into parts', async () => {
    const endpoints = Array.from({ length: 3000 }, (_, i) => ({ address: `fd00:1::${i + 2}`, identity: 400 }));
    await client.announce({ ...nodeOf(1), endpoints });
    const parts = await read();
    expect(parts.map(({ snapshot, synced }) => [snapshot, synced])).toEqual([
      [true, false],
      [false, false],
      [false, false],
      [false, true],
    ]);
    expect(parts.flatMap((part) => part.endpoints)).toHaveLength(3000);
  });

  it('makes a part once for all, and tells each what has changed since', async () => {
    const pod = (at: number, identity = 400) => ({ address: `fd00:1::${(at + 2).toString(16)}`, identity });
    const endpoints = Array.from({ length: 2500 }, (_, at) => pod(at));
    await client.announce({ ...nodeOf(1), endpoints });
    const parts = (await read()).length;
    const changed = [pod(0, 401), ...endpoints.slice(2)];
    await client.announce({ ...nodeOf(1), endpoints: changed });
    const known = new Map<string, number>();
    const again = await read();
    for (const { endpoints: rows, deletedEndpoints } of again) {
      rows.forEach(({ address, identity }) => known.set(address ?? '', identity ?? 0));
      deletedEndpoints.forEach((address) => known.delete(address));
    }
    expect([parts, again.length]).toEqual([3, 3]);
    expect(again[0]?.endpoints).toContainEqual(expect.objectContaining(pod(0, 400)));
    expect(Object.fromEntries(known)).toEqual(Object.fromEntries(changed.map((each) => [each.address, each.identity])));
  });

  it('has who wants a snapshot wait until another one has theirs, also when that one goes away', async () => {
    const endpoints = Array.from({ length: 8000 }, (_, at) => ({
      address: `fd00:1::1:${at.toString(16)}`,
      identity: 400,
    }));
    await client.announce({ ...nodeOf(1), endpoints });
    const first = client.watchCluster({ node: 'slow' })[Symbol.asyncIterator]();
    await first.next();
    const second = read();
    await first.return?.();
    expect((await second).flatMap((part) => part.endpoints)).toHaveLength(8000);
  });

  it('refuses a client that is one too many', async () => {
    const streams = [1, 2].map(() => client.watchCluster({ node: 'w' })[Symbol.asyncIterator]());
    for (const stream of streams) await stream.next();
    await expect(read()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    for (const stream of streams) await stream.return?.();
  });
});

const snapshotOf = (number: number): object => {
  const { node, endpoints } = nodeOf(number);
  return { nodes: [node], endpoints };
};
