// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { parseLabelSet, type LabelSet } from '@weir/model';
import { createLogger } from '@weir/telemetry';
import { createIdentityClient, type IdentityClient, type IdentityClientOptions } from './index.ts';
import { createScriptedAllocator, epoch, type ScriptedAllocator } from './testing/scripted-allocator.ts';

const app = (name: string | number): LabelSet => parseLabelSet([`k8s:app=${name}`]);
const labels = (name: string | number): string[] => [`k8s:app=${name}`];

let directory: string;
let allocator: ScriptedAllocator;
let events: string[];
const clients: IdentityClient[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-idc-'));
  allocator = createScriptedAllocator(`unix:${directory}/a.sock`);
  events = [];
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.stop();
  await allocator.stop();
  rmSync(directory, { recursive: true, force: true });
});

const createClient = (changed: Partial<IdentityClientOptions> = {}): IdentityClient => {
  const client = createIdentityClient({
    address: `unix:${directory}/a.sock`,
    node: 'n',
    cachePath: join(directory, 'state/identities.json'),
    log: createLogger({ service: 'test', level: 'silent' }),
    events: {
      onUpsert: ({ id, labels: set }) => events.push(`+${id} ${set.key}`),
      onDelete: (id) => events.push(`-${id}`),
      onSynced: (revision) => events.push(`synced ${revision}`),
      onMoved: ({ from, to }) => events.push(`moved ${from} ${to}`),
    },
    ...changed,
  });
  clients.push(client);
  return client;
};
const startClient = async (changed: Partial<IdentityClientOptions> = {}): Promise<IdentityClient> => {
  const client = createClient(changed);
  await client.start();
  return client;
};
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (what: () => boolean): Promise<void> => {
  for (let waitedMs = 0; !what(); waitedMs += 5) {
    if (waitedMs > 4000) throw new Error(`Never: ${what.toString()}`);
    await sleep(5);
  }
};
const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => (error as WeirError).code,
  );

describe('allocate()', () => {
  beforeEach(() => allocator.start());

  it('asks once for all users of a label set, and gives it up when the last one has released it', async () => {
    const client = await startClient();
    const ids = await Promise.all([1, 2, 3].map(() => client.allocate(app('x'))));
    expect(new Set(ids)).toEqual(new Set([1000]));
    expect(await client.allocate(app('x'))).toBe(1000);
    expect(allocator.seen.allocated).toEqual(['k8s:app=x;']);
    for (let left = 0; left < 3; left += 1) client.release(1000);
    await sleep(50);
    expect(allocator.seen.released).toEqual([]);
    client.release(1000);
    await until(() => allocator.seen.released.length > 0);
    expect(allocator.seen.released).toEqual([1000]);
  });

  it('knows the labels of a number before it gives it', async () => {
    const client = await startClient();
    const id = await client.allocate(app('x'));
    expect(client.labelsOf(id)).toEqual(app('x'));
    expect(client.numberOf(app('x'))).toBe(id);
  });

  it('fails at once where asking again is pointless, and tries anew for the next caller', async () => {
    const client = await startClient();
    const { onAllocate } = allocator;
    allocator.onAllocate = () => Promise.reject(new WeirError('INVALID_ARGUMENT', 'No such labels'));
    expect(await codeOf(client.allocate(app('x')))).toBe('INVALID_ARGUMENT');
    allocator.onAllocate = onAllocate;
    expect(await client.allocate(app('x'))).toBe(1000);
  });

  it('waits with a reason and tries again where another attempt may help', async () => {
    const clock = createManualClock();
    const client = await startClient({ clock });
    const { onAllocate } = allocator;
    allocator.onAllocate = () => Promise.reject(new WeirError('RESOURCE_EXHAUSTED', 'All numbers are in use'));
    const id = client.allocate(app('x'));
    await until(() => client.status().waiting[0]?.reason === 'All numbers are in use');
    allocator.onAllocate = onAllocate;
    await clock.advance(2_000);
    expect(await id).toBe(1000);
    expect(client.status().waiting).toEqual([]);
  });

  it('leaves nothing behind for a caller that gave up', async () => {
    const client = await startClient();
    const { onAllocate } = allocator;
    allocator.onAllocate = async (request, call) => {
      await sleep(100);
      return onAllocate(request, call);
    };
    expect(await codeOf(client.allocate(app('x'), { signal: AbortSignal.timeout(20) }))).toBe('CANCELLED');
    await until(() => allocator.seen.released.length > 0);
    expect(client.status()).toMatchObject({ held: 0, waiting: [] });
  });

  it('keeps what is wanted now when uses come and go quickly', async () => {
    const client = await startClient();
    for (let round = 0; round < 50; round += 1) {
      const id = await client.allocate(app('x'));
      client.release(id);
    }
    const id = await client.allocate(app('x'));
    await sleep(100);
    const last = Math.max(allocator.seen.allocated.length, 0);
    expect(client.status().held).toBe(1);
    // Whatever was asked in between, the last word was not a release.
    expect(last).toBeGreaterThan(allocator.seen.released.length);
    client.release(id);
  });

  it('refuses to release more often than was allocated', async () => {
    const client = await startClient();
    const id = await client.allocate(app('x'));
    client.release(id);
    expect(() => client.release(id)).toThrow('as often as it was allocated');
  });
});

describe('while the allocator is away', () => {
  const cached = { format: 1, epoch, revision: 7, identities: [[500, 'k8s:app=known;']] };
  const writeCache = (content: unknown): void => {
    rmSync(join(directory, 'state'), { recursive: true, force: true });
    writeFileSync(join(directory, 'identities.json'), typeof content === 'string' ? content : JSON.stringify(content));
  };
  const cachePath = (): string => join(directory, 'identities.json');

  it('resolves what is known on disk at once', async () => {
    writeCache(cached);
    const client = await startClient({ cachePath: cachePath() });
    const startMs = performance.now();
    expect(await client.allocate(app('known'))).toBe(500);
    expect(performance.now() - startMs).toBeLessThan(200);
    expect(client.labelsOf(500)).toEqual(app('known'));
  });

  it('resolves at once what the node says it had before, unless something else is known', async () => {
    writeCache(cached);
    const client = await startClient({ cachePath: cachePath() });
    client.recall({ id: 700, labels: app('recalled') });
    client.recall({ id: 701, labels: app('known') });
    client.recall({ id: 500, labels: app('another') });
    expect(await client.allocate(app('recalled'))).toBe(700);
    expect(await client.allocate(app('known'))).toBe(500);
    expect(client.labelsOf(500)).toEqual(app('known'));
    expect(events).toContain('+700 k8s:app=recalled;');
  });

  it('lets unknown label sets wait, says why, and resolves them as soon as the allocator is back', async () => {
    const client = await startClient();
    const id = client.allocate(app('unknown'));
    await until(() => client.status().connection.kind === 'disconnected');
    await until(() => /Cannot reach/.test(client.status().waiting[0]?.reason ?? ''));
    expect(client.status().waiting[0]?.labels).toEqual(app('unknown'));
    await allocator.start();
    const startMs = performance.now();
    expect(await id).toBe(1000);
    expect(performance.now() - startMs).toBeLessThan(500);
  });

  it('takes a reference for what was used meanwhile, suggesting the number that is known', async () => {
    writeCache(cached);
    const client = await startClient({ cachePath: cachePath() });
    await client.allocate(app('known'));
    let suggested = 0;
    allocator.onAllocate = async ({ knownId }) => (suggested = knownId);
    events.length = 0;
    await allocator.start();
    await until(() => allocator.seen.allocated.length > 0);
    expect(suggested).toBe(500);
    // The allocator's snapshot did not have it, but the node uses it.
    expect(events).not.toContain('-500');
    expect(client.labelsOf(500)).toEqual(app('known'));
    expect(allocator.seen.watches[0]).toEqual({ epoch, afterRevision: 7 });
  });

  it('moves users to the number that the allocator names, when it is another', async () => {
    writeCache(cached);
    const client = await startClient({ cachePath: cachePath() });
    await client.allocate(app('known'));
    allocator.onAllocate = async () => 501;
    await allocator.start();
    await until(() => events.includes('moved 500 501'));
    expect(await client.allocate(app('known'))).toBe(501);
    expect(events).not.toContain('-500');
    client.release(500);
    client.release(501);
    await until(() => events.includes('-500'));
    expect(client.status().held).toBe(0);
  });

  it('waits half a second for an allocator that hangs, then takes what is known', async () => {
    writeCache(cached);
    await allocator.start();
    allocator.onAllocate = () => new Promise(() => undefined);
    allocator.greeting = () => [{ epoch, revision: 8, synced: true }];
    const client = await startClient({ cachePath: cachePath() });
    const startMs = performance.now();
    expect(await client.allocate(app('known'))).toBe(500);
    expect(performance.now() - startMs).toBeGreaterThan(300);
    expect(performance.now() - startMs).toBeLessThan(1500);
  });

  it.each([
    ['is no JSON', 'x'],
    ['has another format', { ...cached, format: 2 }],
    ['holds a number outside the range', { ...cached, identities: [[5, 'k8s:a=b;']] }],
    ['holds labels that are none', { ...cached, identities: [[500, 'a b;']] }],
  ])('puts a file aside that %s, and starts with nothing', async (_what, content) => {
    writeCache(content);
    const client = await startClient({ cachePath: cachePath() });
    expect(client.status().identities).toBe(0);
    expect(existsSync(cachePath())).toBe(false);
    expect(existsSync(`${cachePath()}.damaged`)).toBe(true);
  });

  it('refuses who still waits with CANCELLED when it stops', async () => {
    const client = await startClient();
    const waiting = codeOf(client.allocate(app('x')));
    await until(() => client.status().connection.kind === 'disconnected');
    await client.stop();
    expect(await waiting).toBe('CANCELLED');
  });
});

describe('the watch stream', () => {
  beforeEach(() => allocator.start());
  const snapshot = (...ids: number[]) => ({
    epoch,
    revision: 10,
    snapshot: true,
    synced: true,
    upserted: ids.map((id) => ({ id, labels: labels(id) })),
  });

  it('tells every change in order', async () => {
    allocator.greeting = () => [snapshot(300, 301)];
    await startClient();
    await until(() => events.includes('synced 10'));
    allocator.push({ epoch, revision: 11, upserted: [{ id: 302, labels: labels(302) }], synced: true });
    allocator.push({ epoch, revision: 12, deleted: [300], synced: true });
    await until(() => events.includes('synced 12'));
    expect(events).toEqual([
      '+300 k8s:app=300;',
      '+301 k8s:app=301;',
      'synced 10',
      '+302 k8s:app=302;',
      'synced 11',
      '-300',
      'synced 12',
    ]);
  });

  it('continues where it was after a break, and from disk after a restart', async () => {
    allocator.greeting = () => [snapshot(300)];
    const client = await startClient();
    await until(() => events.includes('synced 10'));
    await allocator.stop();
    allocator.greeting = () => [{ epoch, revision: 11, deleted: [300], synced: true }];
    await allocator.start();
    await until(() => events.includes('synced 11'));
    await client.stop();
    await startClient();
    await until(() => allocator.seen.watches.length === 3);
    expect(allocator.seen.watches.map(({ afterRevision }) => afterRevision)).toEqual([0, 10, 11]);
    expect(client.labelsOf(300)).toBeUndefined();
  });

  it('is back within half a second of the allocator', async () => {
    await startClient();
    await until(() => events.includes('synced 1'));
    await allocator.stop();
    await sleep(1500);
    events.length = 0;
    await allocator.start();
    const startMs = performance.now();
    await until(() => events.includes('synced 1'));
    expect(performance.now() - startMs).toBeLessThan(500);
  });

  it('removes what a new snapshot does not name', async () => {
    allocator.greeting = () => [snapshot(300, 301)];
    await startClient();
    await until(() => events.includes('synced 10'));
    await allocator.stop();
    allocator.greeting = () => [snapshot(301)];
    await allocator.start();
    await until(() => events.includes('-300'));
    expect(events).not.toContain('-301');
  });

  it('does not trust a snapshot that broke off', async () => {
    allocator.greeting = () => [snapshot(300)];
    await startClient();
    await until(() => events.includes('synced 10'));
    await allocator.stop();
    allocator.greeting = () => [{ ...snapshot(301), revision: 20, synced: false }];
    await allocator.start();
    await until(() => events.includes('+301 k8s:app=301;'));
    await allocator.stop();
    await allocator.start();
    await until(() => allocator.seen.watches.length === 3);
    expect(allocator.seen.watches[2]).toEqual({ epoch, afterRevision: 10 });
    expect(events).not.toContain('-300');
  });

  it('keeps numbers for a minute that a store which began anew does not know', async () => {
    const clock = createManualClock();
    allocator.greeting = () => [snapshot(300, 301)];
    await startClient({ clock });
    await until(() => events.includes('synced 10'));
    await allocator.stop();
    allocator.greeting = () => [{ epoch: 'second', revision: 1, snapshot: true, synced: true }];
    await until(() => clock.pendingCount > 1);
    await allocator.start();
    await clock.advance(3000);
    await until(() => events.includes('synced 1'));
    allocator.push({ epoch: 'second', revision: 2, upserted: [{ id: 301, labels: labels(301) }], synced: true });
    await until(() => events.includes('synced 2'));
    expect(events.filter((event) => event.startsWith('-'))).toEqual([]);
    await clock.advance(60_000);
    expect(events.filter((event) => event.startsWith('-'))).toEqual(['-300']);
  });
});

describe('the lease', () => {
  let clock: ManualClock;
  beforeEach(async () => {
    clock = createManualClock();
    await allocator.start();
  });

  it('is renewed three times per period, naming what is held', async () => {
    allocator.onRenew = () => ({ leaseMs: 90_000, lost: [] });
    const client = await startClient({ clock });
    const x = await client.allocate(app('x'));
    await clock.advance(10_000);
    await until(() => allocator.seen.renewals.length === 1);
    const y = await client.allocate(app('y'));
    await sleep(20);
    await clock.advance(30_000);
    await until(() => allocator.seen.renewals.length === 2);
    client.release(x);
    await sleep(20);
    await clock.advance(30_000);
    await until(() => allocator.seen.renewals.length === 3);
    expect(allocator.seen.renewals).toEqual([[x], [x, y], [y]]);
  });

  it('is renewed in time from the first allocation on, however short it is', async () => {
    allocator.leaseMs = 3_000;
    allocator.onRenew = () => ({ leaseMs: 3_000, lost: [] });
    const client = await startClient({ clock });
    await client.allocate(app('x'));
    for (let renewals = 1; renewals < 4; renewals += 1) {
      await clock.advance(1_000);
      await until(() => allocator.seen.renewals.length === renewals);
      await sleep(20);
    }
  });

  it('is renewed at once after a break, before anything else is asked', async () => {
    const client = await startClient({ clock });
    await client.allocate(app('x'));
    await clock.advance(11_000);
    await until(() => allocator.seen.renewals.length === 1);
    await allocator.stop();
    await until(() => client.status().connection.kind === 'disconnected');
    const order: string[] = [];
    const { onAllocate } = allocator;
    allocator.onRenew = () => (order.push('renew'), { leaseMs: 900_000, lost: [] });
    allocator.onAllocate = (request, call) => (order.push('allocate'), onAllocate(request, call));
    await allocator.start();
    await clock.advance(3000);
    await until(() => order.length > 0);
    await client.allocate(app('y'));
    expect(order).toEqual(['renew', 'allocate']);
  });

  it('gets a new number for a label set whose old one is lost, and tells its users', async () => {
    const client = await startClient({ clock });
    expect(await client.allocate(app('x'))).toBe(1000);
    allocator.numbers.set('k8s:app=x;', 2000);
    allocator.onRenew = ({ held }) => ({
      leaseMs: 90_000,
      lost: held.map(({ id }) => id ?? 0).filter((id) => id === 1000),
    });
    await clock.advance(10_000);
    await until(() => events.includes('moved 1000 2000'));
    expect(await client.allocate(app('x'))).toBe(2000);
  });

  it('is left to run out when the client stops: a restarted agent finds its references', async () => {
    const client = await startClient();
    await client.allocate(app('x'));
    await client.stop();
    expect(allocator.seen.released).toEqual([]);
    const written = JSON.parse(readFileSync(join(directory, 'state/identities.json'), 'utf8'));
    expect(written.identities).toEqual([[1000, 'k8s:app=x;']]);
  });
});
