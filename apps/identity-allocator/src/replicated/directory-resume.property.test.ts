// SPDX-License-Identifier: Apache-2.0
// Nodes tell three replicas on one log what they are, whichever they like, while watchers go from one replica to another in the
// middle of everything and continue where they were. Goal: whoever goes on watching has in the end what all replicas have; and
// a watcher gets everything at its beginning, never again as long as the log reaches back. `WEIR_SEED` chooses the history; it is printed.
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import { parseCidr } from '@weir/model';
import type { ClusterDirectoryDefinition, weir } from '@weir/proto';
import type { Handlers, RpcCall } from '@weir/rpc';
import { createSharedLog } from '@weir/shared-log';
import { createMemoryKeyValueStore } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { type Announcement, type ClusterDirectory, createClusterDirectory } from '../cluster/cluster-directory.ts';
import { createClusterService } from '../cluster/cluster-service.ts';
import { createTurns } from '../service/turns.ts';
import type { IdentityStore } from '../store/identity-store.ts';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { openReplicatedStore } from './replicated-store.ts';

const seed = Number(process.env.WEIR_SEED ?? Math.floor(Math.random() * 2 ** 32));
const logger = createLogger({ service: 'test', level: 'silent' });
const times = { leaseMs: 600_000, graceMs: 600_000, reuseDelayMs: 600_000 };
const [nodesMax, stepsPerNode, watchersMax, replicasMax] = [5, 25, 6, 3];
const clock = systemClock;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Replica {
  readonly store: IdentityStore;
  readonly directory: ClusterDirectory;
  readonly watch: Handlers<typeof ClusterDirectoryDefinition>['watchCluster'];
  close(): Promise<void>;
}

type Rows = ReadonlyMap<string, string>;

function rowsOf(directory: ClusterDirectory): Rows {
  return new Map(
    [...directory.all()]
      .flatMap(({ name, addresses, endpoints }): [string, string][] => [
        [`node ${name}`, addresses.join()],
        ...[...endpoints].map(([address, { identity }]): [string, string] => [address, String(identity)]),
      ])
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** What an agent keeps of what it is told. */
function createWatcher() {
  let rows = new Map<string, string>();
  let snapshot: Map<string, string> | undefined;
  let cursor = { epoch: '', afterRevision: 0 };
  let again = 0;
  return {
    get cursor() {
      return cursor;
    },
    /** Snapshots although it knew something. */
    get again() {
      return again;
    },
    sorted: (): Rows => new Map([...rows].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    interrupt: () => (snapshot = undefined),
    apply(message: weir.identity.v1.WatchClusterResponse.$Properties): void {
      if (message.snapshot === true) {
        snapshot = new Map();
        if (cursor.afterRevision > 0) again += 1;
      }
      const into = snapshot ?? rows;
      for (const { name, addresses } of message.nodes ?? []) into.set(`node ${name}`, addresses!.join());
      for (const { address, identity } of message.endpoints ?? []) into.set(address!, String(identity));
      for (const name of message.deletedNodes ?? []) into.delete(`node ${name}`);
      for (const address of message.deletedEndpoints ?? []) into.delete(address);
      if (snapshot !== undefined && message.synced === true) [rows, snapshot] = [snapshot, undefined];
      if (snapshot === undefined) cursor = { epoch: message.epoch!, afterRevision: Number(message.revision) };
    },
  };
}

const all: Replica[] = [];
afterEach(() => Promise.all(all.splice(0).map((replica) => replica.close())));

describe('ClusterDirectory, three replicas on one log', () => {
  const play = async (log: { keptEntries: number; entriesPerSnapshot: number }, random: () => number) => {
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
    const store = createMemoryKeyValueStore({ delay: () => sleep(random() * 3), valueBytesMax: 2_000 });
    const fatal: unknown[] = [];
    const open = async (): Promise<Replica> => {
      const directory = createClusterDirectory({ epoch: 'own', leaseMs: times.leaseMs, clock });
      const opened = await openReplicatedStore({
        log: createSharedLog({ store, prefix: 'p', keptEntries: log.keptEntries }),
        ...{ name: 'test', times, clock, random, logger, directory, entriesPerSnapshot: log.entriesPerSnapshot },
        onFatal: (error) => void fatal.push(error),
      });
      const { announce } = opened;
      const turns = createTurns({ turnsMax: 1, turnMsMax: 60_000, clock });
      const options = { directory, store: opened, announce, leaseMs: times.leaseMs, clock, watchersMax: 99, turns };
      const cluster = createClusterService({ ...options, log: logger });
      const { watchCluster: watch } = cluster.service.handlers as Handlers<typeof ClusterDirectoryDefinition>;
      const close = async (): Promise<void> => {
        cluster.close();
        await opened.close();
      };
      return { store: opened, directory, watch, close };
    };
    const replicas = await Promise.all(Array.from({ length: replicasMax }, open));
    all.push(...replicas);

    const announcement = (node: number): Announcement => ({
      ...{ name: `n${node}`, addresses: [`192.0.2.${node}`], labels: {}, namedPorts: [] },
      podRanges: [parseCidr(`10.${node}.0.0/16`)],
      endpoints: new Map(
        Array.from({ length: Math.floor(random() * 30) }, () => {
          const address = `10.${node}.0.${Math.floor(random() * 40)}`;
          return [address, { identity: 256 + Math.floor(random() * 9), namespace: '', pod: '' }] as const;
        }),
      ),
    });
    const live = async (node: number): Promise<void> => {
      for (let step = 0; step < stepsPerNode; step += 1) {
        await pick(replicas).store.announce(announcement(node));
        if (random() < 0.05) {
          const index = Math.floor(random() * replicas.length);
          replicas[index] = await open();
          all.push(replicas[index]);
        }
      }
    };
    let isOver = false;
    /** Watches at one replica after the other, until it has heard enough or, perhaps, waits in vain. */
    const roam = async (watcher: ReturnType<typeof createWatcher>, isEnough: (synced: boolean) => boolean) => {
      const abort = new AbortController();
      const call = { signal: abort.signal, peer: 'test' } as RpcCall;
      const { epoch, afterRevision } = watcher.cursor;
      const timer = setTimeout(() => abort.abort(), isOver ? 2 ** 31 - 1 : 20 + random() * 30);
      for await (const message of pick(replicas).watch({ node: 'w', epoch, afterRevision } as never, call)) {
        watcher.apply(message as weir.identity.v1.WatchClusterResponse.$Properties);
        if (isEnough(message.synced === true)) break;
      }
      clearTimeout(timer);
      abort.abort();
      watcher.interrupt();
    };
    const watchers = Array.from({ length: watchersMax }, createWatcher);
    const roaming = watchers.map(async (watcher) => {
      while (!isOver) await roam(watcher, () => random() < 0.4);
    });
    await Promise.all(Array.from({ length: nodesMax }, (_, node) => live(node)));
    isOver = true;
    await Promise.all(roaming);
    for (const { store: each } of replicas) await each.catchUp();
    for (const watcher of watchers) await roam(watcher, (synced) => synced);
    const expected = rowsOf(replicas[0]!.directory);
    expect(expected.size).toBeGreaterThan(nodesMax);
    for (const { directory } of replicas) expect(rowsOf(directory)).toEqual(expected);
    for (const watcher of watchers) expect(watcher.sorted()).toEqual(expected);
    expect(fatal).toEqual([]);
    return watchers.map(({ again }) => again);
  };

  it(`sends a watcher that comes from another replica only what is new (WEIR_SEED=${seed})`, async () => {
    const again = await play({ keptEntries: 1_000, entriesPerSnapshot: 1_000 }, createSeededRandom(seed));
    expect(again).toEqual(again.map(() => 0));
  }, 60_000);

  it(`brings watchers up to date also where the log does not reach back (WEIR_SEED=${seed})`, async () => {
    await play({ keptEntries: 3, entriesPerSnapshot: 7 }, createSeededRandom(seed));
  }, 60_000);
});
