// SPDX-License-Identifier: Apache-2.0
// Three replicas on one store whose calls get lost, before they have happened or after, while nodes allocate, release and
// renew at whichever replica they like, and replicas die. Goal: at every moment, over all that anybody was ever told, a label
// set has one number and a number one label set; in the end all replicas know the same, and exactly what the nodes hold.
// `WEIR_SEED` chooses the history; it is printed.
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import { parseLabelSet } from '@weir/model';
import { createLogger } from '@weir/telemetry';
import type { IdentityStore } from '../store/identity-store.ts';
import { createMemoryKeyValueStore, type Fault } from '@weir/shared-log-testing';
import { createSeededRandom } from '../testing/seeded-random.ts';
import { openReplicatedStore } from './replicated-store.ts';
import { createSharedLog } from '@weir/shared-log';

const seed = Number(process.env.WEIR_SEED ?? Math.floor(Math.random() * 2 ** 32));
const logger = createLogger({ service: 'test', level: 'silent' });
const times = { leaseMs: 600_000, graceMs: 600_000, reuseDelayMs: 600_000 };
const labelSets = Array.from({ length: 40 }, (_, index) => parseLabelSet([`k8s:app=${index}`]));
const [nodesMax, stepsPerNode, replicasMax] = [6, 40, 3];
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('openReplicatedStore(), three replicas with faults', () => {
  const all: IdentityStore[] = [];
  afterEach(() => Promise.all(all.map((replica) => replica.close())));

  it(`agrees on every number, and on who holds it (WEIR_SEED=${seed})`, async () => {
    const random = createSeededRandom(seed);
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
    let faultShare = 0.08;
    const fault = (): Fault => {
      const dice = random();
      if (dice < faultShare / 2) return 'lost-before';
      return dice < faultShare ? 'lost-after' : 'none';
    };
    // Values of a few hundred bytes: large ones are written in parts all the time.
    const store = createMemoryKeyValueStore({ fault, delay: () => sleep(random() * 3), valueBytesMax: 300 });
    const open = async (): Promise<IdentityStore> => {
      for (;;) {
        const log = createSharedLog({ store, prefix: 'p', keptEntries: 5 });
        const options = { name: 'test', times, clock: systemClock, random, logger, entriesPerSnapshot: 9 };
        const opened = await openReplicatedStore({ ...options, log, onFatal }).catch(() => undefined);
        if (opened === undefined) continue;
        all.push(opened);
        return opened;
      }
    };
    const fatal: unknown[] = [];
    const onFatal = (error: unknown): void => void fatal.push(error);
    const replicas = await Promise.all(Array.from({ length: replicasMax }, open));

    const numberOf = new Map<string, number>();
    const labelsOf = new Map<number, string>();
    const note = (id: number, key: string): void => {
      expect({ key, id: numberOf.get(key) ?? id }).toEqual({ key, id });
      expect({ id, key: labelsOf.get(id) ?? key }).toEqual({ id, key });
      numberOf.set(key, id);
      labelsOf.set(id, key);
    };
    /** Asks one replica after the other until one has done it. */
    const insist = async <Result>(ask: (replica: IdentityStore) => Promise<Result>): Promise<Result> => {
      for (;;) {
        const done = await ask(pick(replicas)).then(
          (result) => ({ result }),
          () => undefined,
        );
        if (done !== undefined) return done.result;
      }
    };
    const held = new Map<string, Map<number, (typeof labelSets)[number]>>();
    const live = async (node: string): Promise<void> => {
      const mine = new Map<number, (typeof labelSets)[number]>();
      held.set(node, mine);
      for (let step = 0; step < stepsPerNode; step += 1) {
        const dice = random();
        const [first] = mine.keys();
        if (dice < 0.6 || first === undefined) {
          const labels = pick(labelSets);
          const { identity } = await insist((replica) => replica.allocate({ node, labels }));
          note(identity.id, labels.key);
          mine.set(identity.id, labels);
        } else if (dice < 0.85) {
          await insist((replica) => replica.release({ node, id: first }));
          mine.delete(first);
        } else {
          const named = [...mine].map(([id, labels]) => ({ id, labels }));
          expect(await insist((replica) => replica.renewLease({ node, held: named }))).toEqual({ lost: [] });
        }
        if (random() < 0.02) {
          // The replica dies with whatever it had under way.
          const index = Math.floor(random() * replicas.length);
          replicas[index] = await open();
        }
      }
    };
    await Promise.all(Array.from({ length: nodesMax }, (_, index) => live(`n${index}`)));

    faultShare = 0;
    // A write that changes something is seen by all, after everything before it.
    const { identity: last } = await replicas[0]!.allocate({ node: 'last', labels: parseLabelSet(['k8s:last']) });
    for (const replica of replicas) while (replica.get(last.id) === undefined) await sleep(20);
    const views = replicas.map((replica) => [...replica.list(0)].map(({ id, labels }) => [id, labels.key]));
    for (const view of views) expect(view).toEqual(views[0]);
    for (const replica of replicas) {
      for (const [id] of labelsOf) {
        const holders = [...held.values()].filter((mine) => mine.has(id)).length;
        expect({ id, holders: replica.referencesTo(id) }).toEqual({ id, holders });
      }
    }
    expect(fatal).toEqual([]);
  }, 90_000);
});
