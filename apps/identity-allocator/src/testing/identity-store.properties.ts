// SPDX-License-Identifier: Apache-2.0
// Random histories of a store, replayable from their seed: nodes that allocate, release, renew, die and come back, garbage
// collection, restarts. The oracle knows only what was acknowledged.
import { expect } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import type { WeirError } from '@weir/errors';
import { parseLabelSet } from '@weir/model';
import fc from 'fast-check';
import type { IdentityStore, StoreTimes } from '../store/identity-store.ts';
import type { StoreUnderTest } from './identity-store.suite.ts';

const nodes = ['a', 'b', 'c'];
const labelSets = Array.from({ length: 12 }, (_, index) => parseLabelSet([`k8s:app=${index}`]));
// Few numbers for many label sets: they change hands again and again.
const range = { min: 300, max: 304 };
const times: StoreTimes = { leaseMs: 1_000, graceMs: 1_500, reuseDelayMs: 3_000 };

type Step =
  | { readonly kind: 'allocate'; readonly pairs: readonly { readonly node: string; readonly set: number }[] }
  | { readonly kind: 'release'; readonly node: string; readonly set: number }
  | { readonly kind: 'renew' | 'forget'; readonly node: string }
  | { readonly kind: 'live'; readonly rounds: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'collect' | 'restart' };

const node = fc.constantFrom(...nodes);
const set = fc.nat({ max: labelSets.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('allocate' as const),
      pairs: fc.array(fc.record({ node, set }), { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), node, set }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('renew' as const), node }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('live' as const), rounds: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), node }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.nat({ max: 600 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('collect' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

/** What one node believes to hold, and until when its lease runs at least. */
interface NodeModel {
  readonly held: Map<number, number>;
  /** What of that was taken or renewed under the present lease: the store must have it. */
  readonly assured: Set<number>;
  leaseEndMs: number;
}

/** Runs random histories against fresh stores; a failure prints the seed and the shortest history. */
export async function checkStoreProperties(create: () => Promise<StoreUnderTest>, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80 }), async (steps) => {
      const underTest = await create();
      const clock = createManualClock();
      const history = createHistory(await underTest.open({ times, clock, range }), clock);
      try {
        for (const one of steps) await history.run(one, () => underTest.open({ times, clock, range }));
      } finally {
        await history.close();
        await underTest.destroy();
      }
    }),
    { numRuns: runs, timeout: 10_000 },
  );
}

interface History {
  run(step: Step, reopen: () => Promise<IdentityStore>): Promise<void>;
  close(): Promise<void>;
}

function createHistory(opened: IdentityStore, clock: ManualClock): History {
  let store = opened;
  const models = new Map(
    nodes.map((name): [string, NodeModel] => [name, { held: new Map(), assured: new Set(), leaseEndMs: 0 }]),
  );
  const modelOf = (name: string): NodeModel => models.get(name)!;
  // When a number was last seen to belong to a label set.
  const meaning = new Map<number, { readonly set: number; seenMs: number }>();

  const note = (id: number, numberOfSet: number): void => {
    const known = meaning.get(id);
    if (known !== undefined && known.set !== numberOfSet) {
      expect(clock.nowMs() - known.seenMs).toBeGreaterThanOrEqual(times.reuseDelayMs);
    }
    meaning.set(id, { set: numberOfSet, seenMs: clock.nowMs() });
  };
  const checkInvariants = (): void => {
    const live = [...store.list(0)];
    for (const { id, labels } of live)
      note(
        id,
        labelSets.findIndex(({ key }) => key === labels.key),
      );
    expect(new Set(live.map(({ labels }) => labels.key)).size).toBe(live.length);
    expect(new Set(live.map(({ id }) => id)).size).toBe(live.length);
    for (const { held, assured, leaseEndMs } of models.values()) {
      if (clock.nowMs() >= leaseEndMs) continue;
      for (const heldSet of assured) expect(store.get(held.get(heldSet)!)?.labels.key).toBe(labelSets[heldSet]!.key);
    }
  };
  const allocate = async (name: string, numberOfSet: number): Promise<void> => {
    const model = modelOf(name);
    const given = await store.allocate({ node: name, labels: labelSets[numberOfSet]! }).catch((error: WeirError) => {
      // There are fewer numbers than label sets.
      expect(error.code).toBe('RESOURCE_EXHAUSTED');
    });
    if (given === undefined) return;
    const { identity } = given;
    expect(identity.labels.key).toBe(labelSets[numberOfSet]!.key);
    note(identity.id, numberOfSet);
    model.held.set(numberOfSet, identity.id);
    // A call begins a lease where none runs; it does not prolong one.
    if (model.leaseEndMs <= clock.nowMs()) {
      model.leaseEndMs = clock.nowMs() + times.leaseMs;
      model.assured.clear();
    }
    model.assured.add(numberOfSet);
  };
  const renew = async (name: string): Promise<void> => {
    const model = modelOf(name);
    const held = [...model.held].map(([numberOfSet, id]) => ({ id, labels: labelSets[numberOfSet]! }));
    const { lost } = await store.renewLease({ node: name, held });
    for (const [numberOfSet, id] of [...model.held]) {
      if (lost.includes(id)) model.held.delete(numberOfSet);
      else note(id, numberOfSet);
    }
    model.assured.clear();
    for (const numberOfSet of model.held.keys()) model.assured.add(numberOfSet);
    model.leaseEndMs = clock.nowMs() + times.leaseMs;
  };
  const runStep = async (one: Step, reopen: () => Promise<IdentityStore>): Promise<void> => {
    switch (one.kind) {
      case 'allocate':
        await Promise.all(one.pairs.map((pair) => allocate(pair.node, pair.set)));
        return;
      case 'release': {
        const id = modelOf(one.node).held.get(one.set);
        if (id === undefined) return;
        await store.release({ node: one.node, id });
        modelOf(one.node).held.delete(one.set);
        modelOf(one.node).assured.delete(one.set);
        return;
      }
      case 'renew':
        return renew(one.node);
      case 'live':
        // Time passes in which everybody is well.
        for (let round = 0; round < one.rounds; round += 1) {
          await clock.advance(600);
          await Promise.all(nodes.map(renew));
          await store.collectGarbage();
          checkInvariants();
        }
        return;
      case 'forget':
        // The node is started anew and knows nothing; what it held is its lease's business.
        modelOf(one.node).held.clear();
        modelOf(one.node).assured.clear();
        return;
      case 'advance':
        return clock.advance(one.ms);
      case 'collect':
        await store.collectGarbage();
        return;
      case 'restart':
        await store.close();
        store = await reopen();
    }
  };
  return {
    async run(one, reopen) {
      await runStep(one, reopen);
      checkInvariants();
    },
    close: () => store.close(),
  };
}
