// SPDX-License-Identifier: Apache-2.0
// Nodes that allocate and release at random while allocators are killed and paused again and again, some nodes dying, too, and
// with Consul and etcd also the store itself.
// Goal: over the whole run no label set has two numbers, no number two label sets, nothing is taken that a living node
// holds, and in the end nothing is left. What each node was told is compared with everything that an observer saw.
// `WEIR_SEED` chooses the run; it is printed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createIdentityClient, type IdentityClient } from '@weir/identity-client';
import { parseLabelSet, type LabelSet } from '@weir/model';
import { IdentityAllocatorDefinition } from '@weir/proto';
import { createRpcClient } from '@weir/rpc';
import { consul, etcd, type StoreServer, type StoreServerKind } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createAllocatorProcess, type AllocatorProcess } from './testing/allocator-process.ts';
import { createSeededRandom } from './testing/seeded-random.ts';

const seed = Number(process.env.WEIR_SEED ?? Math.floor(Math.random() * 2 ** 32));
const oneAllocator = { rounds: 2, eventsPerRound: 5, leaseMs: 1_500, graceMs: 1_500 };
// With time for a node to notice that its allocator is gone, and to ask another one.
const threeAllocators = { rounds: 1, eventsPerRound: 8, leaseMs: 3_000, graceMs: 4_000 };
const nodesMax = 5;
const labelSets = Array.from({ length: 30 }, (_, index) => parseLabelSet([`k8s:app=${index}`, 'k8s:tier=x']));

let directory: string;
let allocators: AllocatorProcess[];
let storeServer: StoreServer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-churn-'));
});
afterEach(async () => {
  await Promise.all(allocators.map((allocator) => allocator.kill('SIGKILL')));
  await storeServer?.destroy();
  storeServer = undefined;
  rmSync(directory, { recursive: true, force: true });
});

/** One allocator with a file, or three that share a store. */
async function startAllocators(kind: StoreServerKind | undefined): Promise<string> {
  storeServer = await kind?.create();
  const store = kind === undefined ? [] : ['--store', kind.name, '--store-endpoint', storeServer!.endpoint];
  const names = kind === undefined ? ['a'] : ['a', 'b', 'c'];
  const { leaseMs, graceMs } = kind === undefined ? oneAllocator : threeAllocators;
  const times = [
    '--lease',
    `${leaseMs}ms`,
    '--gc-grace',
    `${graceMs}ms`,
    '--reuse-delay',
    '1h',
    '--gc-interval',
    '100ms',
  ];
  allocators = names.map((name) => createAllocatorProcess(join(directory, name), [...times, ...store]));
  await Promise.all(allocators.map((allocator) => allocator.start()));
  return allocators.map(({ address }) => address).join(',');
}
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Every meaning that anybody ever saw a number have. */
function createLedger() {
  const labelsOf = new Map<number, string>();
  const numberOf = new Map<string, number>();
  return {
    note(id: number, key: string): void {
      expect({ id, key: labelsOf.get(id) ?? key }).toEqual({ id, key });
      expect({ key, id: numberOf.get(key) ?? id }).toEqual({ key, id });
      labelsOf.set(id, key);
      numberOf.set(key, id);
    },
    size: () => labelsOf.size,
  };
}

interface TestNode {
  readonly client: IdentityClient;
  /** Numbers that its users have been told, with the number of uses. */
  readonly uses: Map<number, number>;
  readonly work: Promise<void>;
}

for (const { name, skipReason } of [etcd, consul]) {
  if (skipReason !== undefined) process.stderr.write(`Skipped: churn on ${name}: ${skipReason}\n`);
}
const stores = [undefined, ...[etcd, consul].filter(({ skipReason }) => skipReason === undefined)].map((kind) => ({
  what: kind === undefined ? 'one allocator' : `three allocators on ${kind.name}`,
  kind,
}));

describe.each(stores)('identities under churn and kill -9, $what', ({ kind }) => {
  it(`keep their meaning, and are taken only when nobody has them (WEIR_SEED=${seed})`, async () => {
    const address = await startAllocators(kind);
    const { rounds, eventsPerRound, leaseMs, graceMs } = kind === undefined ? oneAllocator : threeAllocators;
    const random = createSeededRandom(seed);
    const ledger = createLedger();
    const nodes = new Map<string, TestNode>();
    let running = true;
    let born = 0;
    let allocations = 0;

    const useFor = async (node: TestNode, end: () => boolean): Promise<void> => {
      while (!end()) {
        const labels = labelSets[Math.floor(random() * labelSets.length)]!;
        const id = await node.client.allocate(labels).catch(() => undefined);
        if (id === undefined) return;
        allocations += 1;
        ledger.note(id, labels.key);
        node.uses.set(id, (node.uses.get(id) ?? 0) + 1);
        await sleep(random() * 60);
        node.uses.set(id, (node.uses.get(id) ?? 1) - 1);
        node.client.release(id);
        await sleep(random() * 30);
      }
    };
    /** Nobody else has these labels: only renewals keep their number. */
    const useForLong = async (node: TestNode, labels: LabelSet): Promise<void> => {
      const id = await node.client.allocate(labels).catch(() => undefined);
      if (id === undefined) return;
      ledger.note(id, labels.key);
      node.uses.set(id, 1);
      while (running) await sleep(50);
      node.uses.delete(id);
      node.client.release(id);
    };
    const addNode = async (): Promise<void> => {
      const name = `node-${(born += 1)}`;
      const client = createIdentityClient({
        address,
        node: name,
        cachePath: join(directory, `${name}.json`),
        log: createLogger({ service: name, level: 'silent' }),
        deadlineMs: 2_000,
        events: {
          onUpsert: ({ id, labels }) => ledger.note(id, labels.key),
          onMoved: (moved) => expect(moved).toBe('never'),
        },
      });
      await client.start();
      const node: TestNode = { client, uses: new Map(), work: Promise.resolve() };
      const workers = [1, 2, 3].map(() => useFor(node, () => !running));
      workers.push(useForLong(node, parseLabelSet([`k8s:only-on=${name}`])));
      nodes.set(name, { ...node, work: Promise.all(workers).then(() => undefined) });
    };
    /** A node that dies gives nothing back: its lease must do it. */
    const killNode = async (name: string): Promise<void> => {
      const { client } = nodes.get(name)!;
      nodes.delete(name);
      await client.stop();
    };
    const observe = async (): Promise<void> => {
      const observer = createRpcClient(IdentityAllocatorDefinition, { address, waitForReady: true });
      let [epoch, afterRevision] = ['', 0];
      while (running) {
        try {
          for await (const response of observer.watch({ node: 'observer', epoch, afterRevision })) {
            if (!running) break;
            expect(response.snapshot).toBe(epoch === '');
            ({ epoch, revision: afterRevision } = response);
            for (const { id, labels } of response.upserted) ledger.note(id!, parseLabelSet(labels!).key);
            for (const id of response.deleted) {
              for (const { uses } of nodes.values()) expect({ id, uses: uses.get(id) ?? 0 }).toEqual({ id, uses: 0 });
            }
          }
        } catch (error) {
          if ((error as { code?: string }).code === undefined) throw error;
        }
      }
      observer.close();
    };

    for (let count = 0; count < nodesMax; count += 1) await addNode();
    const observer = observe();
    let kills = 0;
    // One that comes back at once, so that every run has at least one.
    await allocators[0]!.kill('SIGKILL');
    await allocators[0]!.start();
    kills += 1;
    const disturb = async (): Promise<void> => {
      const dice = random();
      const allocator = allocators[Math.floor(random() * allocators.length)]!;
      if (storeServer !== undefined && random() < 0.4) {
        if (dice < 0.5) await storeServer.kill();
        else storeServer.signal('SIGSTOP');
        await sleep(random() * 1500);
        if (dice < 0.5) await storeServer.start();
        else storeServer.signal('SIGCONT');
      } else if (dice < 0.5) {
        await allocator.kill('SIGKILL');
        kills += 1;
        await sleep(random() * 400);
        await allocator.start();
      } else if (dice < 0.75) {
        allocator.signal('SIGSTOP');
        await sleep(random() * 500);
        allocator.signal('SIGCONT');
      } else {
        await killNode([...nodes.keys()][Math.floor(random() * nodes.size)]!);
        await addNode();
      }
    };
    for (let round = 0; round < rounds; round += 1) {
      for (let event = 0; event < eventsPerRound; event += 1) {
        await sleep(random() * 600);
        await disturb();
      }
      // Garbage is collected only when leases and graces have run since the last start.
      await sleep(leaseMs + graceMs + 500);
    }
    // However slow the machine is: enough has to have happened.
    while (allocations <= 100 || ledger.size() < labelSets.length) await sleep(50);
    running = false;
    await Promise.all([...nodes.values()].map(({ work }) => work));
    await observerDone(observer, address);

    // Everybody has released everything, and the dead ones' leases run out.
    const control = createRpcClient(IdentityAllocatorDefinition, { address, waitForReady: true });
    let left = Infinity;
    for (let waitedMs = 0; left > 0 && waitedMs < 4 * (leaseMs + graceMs); waitedMs += 200) {
      await sleep(200);
      left = (await control.listIdentities({})).identities.length;
    }
    control.close();
    for (const allocator of allocators) {
      const one = createRpcClient(IdentityAllocatorDefinition, { address: allocator.address, waitForReady: true });
      expect((await one.listIdentities({})).identities).toEqual([]);
      one.close();
    }
    await Promise.all([...nodes.values()].map(({ client }) => client.stop()));
    expect({ left, kills: kills > 0 }).toEqual({ left: 0, kills: true });
  });
});

/** The observer sits in a stream: a change wakes it to see that it is over. */
async function observerDone(observer: Promise<void>, address: string): Promise<void> {
  const control = createRpcClient(IdentityAllocatorDefinition, { address, waitForReady: true });
  await control.allocate({ node: 'last', labels: ['k8s:last'] });
  control.close();
  await observer;
}
