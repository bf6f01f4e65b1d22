// SPDX-License-Identifier: Apache-2.0
// Two real allocators on a real etcd, one of which is stopped where it is: its connections stay, and nothing answers. Goal: an agent
// gets numbers from the other one, although nothing ever fails.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createIdentityClient, type IdentityClient } from '@weir/identity-client';
import { parseLabelSet, type LabelSet } from '@weir/model';
import { etcd, type StoreServer } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createAllocatorProcess, type AllocatorProcess } from './testing/allocator-process.ts';

const log = createLogger({ service: 'test', level: 'silent' });
const app = (name: string): LabelSet => parseLabelSet([`k8s:app=${name}`]);
const test = etcd.skipReason === undefined ? it : it.skip;

let directory: string;
let store: StoreServer | undefined;
let replicas: AllocatorProcess[];
let clients: IdentityClient[];

const connect = (node: string, addresses: readonly string[]): IdentityClient => {
  const client = createIdentityClient({
    ...{ address: addresses.join(), node, log, cachePath: join(directory, `${node}.json`) },
    // Whoever waits for a server that hangs waits for longer than this test does.
    deadlineMs: 600_000,
  });
  clients.push(client);
  return client;
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-hanging-'));
  [replicas, clients, store] = [[], [], undefined];
  if (etcd.skipReason !== undefined) return;
  store = await etcd.create();
  const flags = ['--store', 'etcd', '--store-endpoint', store.endpoint];
  replicas = ['a', 'b'].map((name) => createAllocatorProcess(join(directory, name), flags));
  for (const replica of replicas) await replica.start();
}, 60_000);
afterEach(async () => {
  for (const replica of replicas) replica.signal('SIGCONT');
  await Promise.all(clients.map((client) => client.stop()));
  await Promise.all(replicas.map((replica) => replica.kill('SIGKILL')));
  await store?.destroy();
  rmSync(directory, { recursive: true, force: true });
}, 60_000);

describe('an allocator that hangs', () => {
  test('is not waited for where another one has an answer', async () => {
    const agent = connect(
      'n1',
      replicas.map(({ address }) => address),
    );
    await agent.start();
    await agent.allocate(app('before'));
    const beside = ({ storePath }: AllocatorProcess): LabelSet => app(storePath.split('/').at(-3)!);
    // One of them is the one that it asks.
    for (const replica of replicas) {
      replica.signal('SIGSTOP');
      const asked = await agent.allocate(beside(replica));
      expect(agent.labelsOf(asked)).toEqual(beside(replica));
      // Nothing failed: a hanging server has not closed anything.
      expect(agent.status()).toMatchObject({ connection: { kind: 'connected' }, waiting: [] });
      replica.signal('SIGCONT');
    }
  }, 60_000);
});
