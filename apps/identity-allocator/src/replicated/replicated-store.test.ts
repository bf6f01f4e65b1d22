// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { type ClusterPod, parseCidr } from '@weir/model';
import { createSharedLog, type KeyValueStore } from '@weir/shared-log';
import { createMemoryKeyValueStore, type MemoryKeyValueStore } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createClusterDirectory, type Announcement, type ClusterDirectory } from '../cluster/cluster-directory.ts';
import type { IdentityStore } from '../store/identity-store.ts';
import { checkStoreProperties } from '../testing/identity-store.properties.ts';
import {
  app,
  describeIdentityStore,
  failureCode,
  suiteTimes,
  type StoreUnderTest,
} from '../testing/identity-store.suite.ts';
import { openReplicatedStore } from './replicated-store.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const onFatal = (error: unknown): void => {
  throw error;
};

const createUnderTest = (entriesPerSnapshot = 7): StoreUnderTest => {
  const store = createMemoryKeyValueStore();
  return {
    open: (options) =>
      openReplicatedStore({
        log: createSharedLog({ store, prefix: 'weir/identity', keptEntries: 3 }),
        ...{ name: 'the test', random: Math.random, logger, onFatal, entriesPerSnapshot },
        ...options,
      }),
    destroy: async () => undefined,
  };
};

describeIdentityStore('replicated, in memory', async () => createUnderTest());

describe('IdentityStore (replicated, in memory), random histories', () => {
  it('keep one number per label set, one label set per number, and take nothing that is held', async () => {
    await checkStoreProperties(async () => createUnderTest(), 60);
    expect(true).toBe(true);
  }, 60_000);
});

describe('openReplicatedStore(), what nodes announce', () => {
  interface Replica {
    readonly store: IdentityStore;
    readonly directory: ClusterDirectory;
  }
  let keyValues: MemoryKeyValueStore;
  let clock: ManualClock;
  const replicas: Replica[] = [];
  const open = async (): Promise<Replica> => {
    const directory = createClusterDirectory({ epoch: 'e', leaseMs: suiteTimes.leaseMs, clock });
    const store = await openReplicatedStore({
      log: createSharedLog({ store: keyValues, prefix: 'p', keptEntries: 2 }),
      ...{ name: 'the test', times: suiteTimes, clock, directory, random: Math.random, logger, onFatal },
      entriesPerSnapshot: 4,
    });
    replicas.push({ store, directory });
    return { store, directory };
  };
  beforeEach(() => {
    keyValues = createMemoryKeyValueStore();
    clock = createManualClock();
  });
  afterEach(async () => {
    await Promise.all(replicas.splice(0).map(({ store }) => store.close()));
  });
  // One that was told of by a node of an earlier version has no name.
  const podOf = (identity: number): ClusterPod =>
    identity === 301
      ? { identity, namespace: '', pod: '' }
      : { identity, namespace: 'default', pod: `web-${identity}` };
  const node = (name: string, index: number, pods: Readonly<Record<string, number>> = {}): Announcement => ({
    name,
    addresses: [`192.0.2.${index}`],
    podRanges: [parseCidr(`10.0.${index}.0/24`)],
    labels: { pool: 'db' },
    namedPorts: [[300, [{ name: 'http', protocol: 6, port: 80 }]]],
    endpoints: new Map(Object.entries(pods).map(([address, identity]) => [address, podOf(identity)])),
  });
  const view = ({ directory }: Replica) => {
    const { nodes, endpoints } = directory.changesAfter(0)!;
    const names = nodes
      .map(({ name, namedPorts, labels }) => `${name} ${namedPorts[0]?.[1][0]?.name} ${labels['pool']}`)
      .toSorted();
    return { nodes: names, endpoints: Object.fromEntries(endpoints) };
  };

  it('is known to every replica, also to one that starts later, and to one that has to read everything anew', async () => {
    const [a, b] = [await open(), await open()];
    await a.store.announce(node('n1', 1, { '10.0.1.5': 300, '10.0.1.6': 301 }));
    await b.store.announce(node('n2', 2));
    for (let step = 0; step < 12; step += 1) await b.store.allocate({ node: 'n2', labels: app(step) });
    await b.store.announce(node('n1', 1, { '10.0.1.6': 302, '10.0.1.7': 303 }));
    await a.store.catchUp();
    const expected = {
      nodes: ['n1 http db', 'n2 http db'],
      endpoints: { '10.0.1.6': podOf(302), '10.0.1.7': podOf(303) },
    };
    for (const replica of [a, b, await open()]) expect(view(replica)).toEqual(expected);
  });

  it("refuses what is another node's at whichever replica, also at the same moment", async () => {
    const [a, b] = [await open(), await open()];
    await a.store.announce(node('n1', 1));
    expect(await failureCode(b.store.announce(node('n2', 1)))).toBe('ALREADY_EXISTS');
    const outcomes = await Promise.all([
      failureCode(a.store.announce(node('n3', 3))),
      failureCode(a.store.announce(node('n4', 3))),
      failureCode(b.store.announce(node('n5', 3))),
    ]);
    expect(outcomes.toSorted()).toEqual(['ALREADY_EXISTS', 'ALREADY_EXISTS', 'no failure']);
  });

  it('writes nothing when a node says the same again', async () => {
    const a = await open();
    await a.store.announce(node('n1', 1, { '10.0.1.5': 300 }));
    const { writes } = keyValues;
    await a.store.announce(node('n1', 1, { '10.0.1.5': 300 }));
    expect(keyValues.writes).toBe(writes);
  });

  it('is gone everywhere when the lease of the node has run out, and not before', async () => {
    const [a, b] = [await open(), await open()];
    await a.store.announce(node('dead', 1, { '10.0.1.5': 300 }));
    await a.store.announce(node('alive', 2));
    await clock.advance(suiteTimes.leaseMs - 1);
    await a.store.announce(node('alive', 2));
    await a.store.catchUp();
    expect(await a.store.expireNodes()).toEqual([]);
    await clock.advance(1);
    expect(await a.store.expireNodes()).toEqual(['dead']);
    await b.store.catchUp();
    for (const replica of [a, b, await open()])
      expect(view(replica)).toEqual({ nodes: ['alive http db'], endpoints: {} });
  });

  it('outlives the replica that was told, for another lease', async () => {
    const a = await open();
    await a.store.announce(node('n1', 1));
    await a.store.close();
    const b = await open();
    await clock.advance(suiteTimes.leaseMs - 1);
    expect(await b.store.expireNodes()).toEqual([]);
    await clock.advance(1);
    expect(await b.store.expireNodes()).toEqual(['n1']);
    expect(view(b).nodes).toEqual([]);
  });
});

describe('openReplicatedStore(), a node that changes from one replica to another', () => {
  const opened: IdentityStore[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((store) => store.close()));
  });
  it('gets answers that are true of what it has done there, although this one has not heard of it yet', async () => {
    const keyValues = createMemoryKeyValueStore();
    // Nothing tells this replica of changes, and on this clock no time passes after which it would look.
    const deaf: KeyValueStore = {
      ...keyValues,
      changed: (_known, { signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    };
    const clock = createManualClock();
    const open = async (store: KeyValueStore): Promise<IdentityStore> => {
      const replica = await openReplicatedStore({
        log: createSharedLog({ store, prefix: 'p' }),
        ...{ name: 'the test', times: suiteTimes, clock, random: Math.random, logger, onFatal },
      });
      opened.push(replica);
      return replica;
    };
    const [there, here] = [await open(keyValues), await open(deaf)];
    const { identity } = await here.allocate({ node: 'n1', labels: app(1) });
    await there.catchUp();
    await there.release({ node: 'n1', id: identity.id });
    expect(here.referencesTo(identity.id)).toBe(1);

    await here.allocate({ node: 'n1', labels: app(1) });
    await there.catchUp();
    expect(there.referencesTo(identity.id)).toBe(1);

    await there.release({ node: 'n1', id: identity.id });
    await there.allocate({ node: 'n1', labels: app(2) });
    const second = (await there.allocate({ node: 'n1', labels: app(2) })).identity.id;
    await here.release({ node: 'n1', id: second });
    await there.catchUp();
    expect(there.referencesTo(second)).toBe(0);
  });
});
