// SPDX-License-Identifier: Apache-2.0
// The real program, its real store and real clients, with kill -9 in between.
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HealthDefinition, IdentityAllocatorDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { freePort } from '@weir/shared-log-testing';
import { createAllocatorProcess, runAllocator, type AllocatorProcess } from './testing/allocator-process.ts';

let directory: string;
let allocator: AllocatorProcess;
const clients: { close(): void }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-ida-'));
  allocator = createAllocatorProcess(directory);
});
afterEach(async () => {
  clients.splice(0).forEach((client) => client.close());
  await allocator.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});
const connect = (): RpcClient<typeof IdentityAllocatorDefinition> => {
  const client = createRpcClient(IdentityAllocatorDefinition, { address: allocator.address, waitForReady: true });
  clients.push(client);
  return client;
};
const labels = (name: string | number): string[] => [`k8s:app=${name}`];
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('identity-allocator', () => {
  it('is SERVING when it says so, and ends cleanly on SIGTERM although somebody watches', async () => {
    await allocator.start();
    expect(statSync(`${directory}/run/identity.sock`).mode & 0o777).toBe(0o660);
    const health = createRpcClient(HealthDefinition, { address: allocator.address });
    clients.push(health);
    for (const service of ['', 'weir.identity.v1.IdentityAllocator']) {
      expect((await health.check({ service })).status).toBe(1);
    }
    await connect().watch({ node: 'n' })[Symbol.asyncIterator]().next();
    const startMs = performance.now();
    expect(await allocator.kill('SIGTERM')).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(existsSync(`${directory}/run/identity.sock`)).toBe(false);
  });

  it('keeps every acknowledged allocation through kill -9 in the middle of others', async () => {
    const acknowledged = new Map<string, number>();
    for (let life = 0; life < 4; life += 1) {
      await allocator.start();
      const client = connect();
      const enough = Promise.withResolvers<undefined>();
      const before = acknowledged.size;
      const calls = Array.from({ length: 300 }, async (_, index) => {
        await sleep(Math.floor(index / 10) * 2);
        const key = `${life}-${index}`;
        const { identity } = await client.allocate({ node: `n${index % 5}`, labels: labels(key) });
        acknowledged.set(key, identity!.id!);
        if (acknowledged.size > before + 40 * (life + 1)) enough.resolve(undefined);
      });
      const settled = Promise.allSettled(calls);
      await enough.promise;
      await allocator.kill('SIGKILL');
      client.close();
      await settled;
    }
    await allocator.start();
    const client = connect();
    for (const [key, id] of acknowledged) {
      const again = await client.allocate({ node: 'n0', labels: labels(key) });
      expect({ key, id: again.identity?.id, created: again.created }).toEqual({ key, id, created: false });
    }
    expect(new Set(acknowledged.values()).size).toBe(acknowledged.size);
  });

  it('costs bounded memory for watchers that do not read, and tells them the truth when they do', async () => {
    await allocator.start();
    const watchers = Array.from({ length: 40 }, () => connect().watch({ node: 'slow' })[Symbol.asyncIterator]());
    await Promise.all(watchers.map((watcher) => watcher.next()));
    const before = allocator.residentBytes();
    const client = connect();
    const filler = 'x'.repeat(900);
    const held = Array.from({ length: 4000 }, (_, index) => ({
      id: 1000 + index,
      labels: [`k8s:a=${filler}`, `k8s:b=${index}`, `k8s:c=${filler}`],
    }));
    // 8 MB of labels: 320 MB for all watchers together, if they waited in the allocator.
    for (let from = 0; from < held.length; from += 400) {
      await client.renewLease({ node: `n${from}`, held: held.slice(from, from + 400) }, { deadlineMs: 20_000 });
      await sleep(20);
    }
    expect(allocator.residentBytes() - before).toBeLessThan(180 * 1024 * 1024);
    const known = new Set<number>();
    for (let revision = 0; revision < held.length;) {
      const { value } = await watchers[0]!.next();
      value.upserted.forEach(({ id }: { id?: number | null }) => known.add(id!));
      revision = value.revision;
    }
    expect(known.size).toBe(held.length);
  });

  it('pages through more identities than one message holds', async () => {
    await allocator.start();
    const client = connect();
    const filler = 'x'.repeat(1000);
    const held = Array.from({ length: 3000 }, (_, index) => ({
      id: 300 + index,
      labels: [`k8s:a=${filler}`, `k8s:b=${index}`],
    }));
    for (let from = 0; from < held.length; from += 1000) {
      await client.renewLease({ node: `n${from}`, held: held.slice(from, from + 1000) }, { deadlineMs: 20_000 });
    }
    const ids: number[] = [];
    for (let more = true, pages = 0; more; pages += 1) {
      const page = await client.listIdentities({ afterId: ids.at(-1) ?? 0 });
      ids.push(...page.identities.map(({ id }) => id!));
      more = page.more;
      expect(pages).toBeLessThan(10);
    }
    expect(ids).toEqual(held.map(({ id }) => id));
  });

  it('serves metrics and its health over HTTP', async () => {
    const port = await freePort();
    const watched = createAllocatorProcess(directory, ['--metrics', `127.0.0.1:${port}`]);
    allocator = watched;
    await watched.start();
    await connect().allocate({ node: 'n', labels: labels('x') });
    const get = async (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    const text = await (await get('/metrics')).text();
    for (const line of ['identities 1', 'nodes 1', 'references 1', 'store_away 0', 'watchers 0']) {
      expect(text).toContain(`\nweir_identity_allocator_${line}\n`);
    }
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    expect([(await get('/healthz')).status, (await get('/else')).status]).toEqual([200, 404]);
  });

  it('leaves with status 2 and a reason when the command line is wrong', () => {
    const { status, stderr } = runAllocator(['--nonsense']);
    expect({ status, stderr }).toEqual({ status: 2, stderr: "error: unknown option '--nonsense'\n" });
  });

  it('leaves with status 1 and the name of the file when the store is damaged', () => {
    const path = join(directory, 'identity.db');
    writeFileSync(path, 'not a database, by no means');
    const { status, stderr } = runAllocator(['--store-path', path, '--run-dir', directory]);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(`CORRUPT_STATE|${path}`) });
  });

  it('leaves with status 1 when another allocator has the store or the socket', async () => {
    await allocator.start();
    const store = runAllocator(['--store-path', allocator.storePath, '--run-dir', join(directory, 'other')]);
    expect(store).toMatchObject({ status: 1, stderr: expect.stringContaining('another process has it open') });
    const socket = runAllocator(['--run-dir', join(directory, 'run'), '--state-dir', join(directory, 'other')]);
    expect(socket).toMatchObject({ status: 1, stderr: expect.stringContaining('another process listens there') });
  });

  it('leaves a store behind that any SQLite reads', async () => {
    await allocator.start();
    const { identity } = await connect().allocate({ node: 'n', labels: labels('x') });
    await allocator.kill('SIGTERM');
    const database = new DatabaseSync(allocator.storePath, { readOnly: true });
    expect(database.prepare('SELECT id, labels FROM identities').all()).toEqual([
      { id: identity!.id, labels: 'k8s:app=x;' },
    ]);
    database.close();
  });
});
