// SPDX-License-Identifier: Apache-2.0
// What every backend of IdentityStore must do. A backend's own test calls `describeIdentityStore` with a way to open it.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type Clock, type ManualClock } from '@weir/clock';
import { WeirError, type ErrorCode } from '@weir/errors';
import { identityRange, parseLabelSet, type LabelSet } from '@weir/model';
import { storeLimits, type IdentityStore, type StoreTimes } from '../store/identity-store.ts';
import type { NumberRange } from '../store/number-pool.ts';

export interface StoreSettings {
  readonly times: StoreTimes;
  readonly clock: Clock;
  /** The cluster's range by default. */
  readonly range?: NumberRange;
}

/** One store, empty at first, that can be opened, closed and opened again. */
export interface StoreUnderTest {
  open(options: StoreSettings): Promise<IdentityStore>;
  /** Removes what the store left behind. */
  destroy(): Promise<void>;
}

export const minute = 60_000;
/** The times that the suite works with. */
export const suiteTimes: StoreTimes = { leaseMs: 15 * minute, graceMs: 20 * minute, reuseDelayMs: 60 * minute };

/** A label set with one label. */
export const app = (name: string | number): LabelSet => parseLabelSet([`k8s:app=${name}`]);

/** The code that a promise fails with. */
export async function failureCode(promise: Promise<unknown>): Promise<ErrorCode | 'no failure'> {
  try {
    await promise;
    return 'no failure';
  } catch (error) {
    expect(error).toBeInstanceOf(WeirError);
    return (error as WeirError).code;
  }
}

/** Describes the behaviour of one backend. */
export function describeIdentityStore(name: string, create: () => Promise<StoreUnderTest>): void {
  let underTest: StoreUnderTest;
  let clock: ManualClock;
  let store: IdentityStore;

  const restart = async (): Promise<void> => {
    await store.close();
    store = await underTest.open({ times: suiteTimes, clock });
  };
  const allocate = async (node: string, labels: LabelSet): Promise<number> =>
    (await store.allocate({ node, labels })).identity.id;
  const idsInUse = (): number[] => [...store.list(0)].map(({ id }) => id);
  const changes = (after: number, bytesMax = 1_000_000) => store.changesAfter(after, { bytesMax });

  describe(`IdentityStore (${name})`, () => {
    beforeEach(async () => {
      clock = createManualClock();
      underTest = await create();
      store = await underTest.open({ times: suiteTimes, clock });
    });
    afterEach(async () => {
      await store.close();
      await underTest.destroy();
    });

    describe('allocate()', () => {
      it('gives a number of the cluster range, made the first time and the same ever after', async () => {
        const first = await store.allocate({ node: 'a', labels: app('x') });
        const again = await store.allocate({ node: 'b', labels: app('x') });
        expect(first.created).toBe(true);
        expect(again).toEqual({ identity: first.identity, created: false });
        expect(first.identity.id).toBeGreaterThanOrEqual(identityRange.cluster.min);
        expect(first.identity.id).toBeLessThanOrEqual(identityRange.cluster.max);
      });

      it('gives callers at the same moment one number for one label set and different ones for different sets', async () => {
        const asked = Array.from({ length: 200 }, (_, index) => ({ node: `n${index % 7}`, labels: app(index % 20) }));
        const given = await Promise.all(asked.map((request) => store.allocate(request)));
        const numbers = new Map(given.map(({ identity }) => [identity.labels.key, identity.id]));
        expect(numbers.size).toBe(20);
        expect(new Set(numbers.values()).size).toBe(20);
        for (const { identity } of given) expect(identity.id).toBe(numbers.get(identity.labels.key));
        expect(given.filter(({ created }) => created)).toHaveLength(20);
      });

      it('takes the number that the node knows if nobody ever had it, and no other', async () => {
        const x = await store.allocate({ node: 'a', labels: app('x'), knownId: 777 });
        const y = await store.allocate({ node: 'a', labels: app('y'), knownId: 777 });
        const z = await store.allocate({ node: 'a', labels: app('z'), knownId: 7 });
        const again = await store.allocate({ node: 'b', labels: app('x'), knownId: 778 });
        expect([x.identity.id, again.identity.id]).toEqual([777, 777]);
        expect(y.identity.id).not.toBe(777);
        expect(z.identity.id).toBeGreaterThanOrEqual(identityRange.cluster.min);
      });

      it('counts a reference of a node once', async () => {
        const id = await allocate('a', app('x'));
        await allocate('a', app('x'));
        await allocate('b', app('x'));
        expect(store.referencesTo(id)).toBe(2);
        expect(store.counts).toEqual({ identities: 1, nodes: 2, references: 2 });
      });

      it('refuses one reference more than a node may hold, and changes nothing', async () => {
        const { referencesPerNodeMax } = storeLimits;
        const held = Array.from({ length: referencesPerNodeMax }, (_, index) => ({
          id: identityRange.cluster.min + index,
          labels: app(index),
        }));
        await store.renewLease({ node: 'a', held });
        const { revision } = store;
        expect(await failureCode(allocate('a', app('one more')))).toBe('RESOURCE_EXHAUSTED');
        expect(await failureCode(allocate('a', app(0)))).toBe('no failure');
        expect(store.revision).toBe(revision);
      });

      it('gives nothing to a caller that has gone away', async () => {
        const signal = AbortSignal.abort(new WeirError('CANCELLED', 'Gone'));
        expect(await failureCode(store.allocate({ node: 'a', labels: app('x') }, { signal }))).toBe('CANCELLED');
        expect(store.counts.references).toBe(0);
      });
    });

    describe('after a restart', () => {
      it('has the same numbers, references, epoch and revision', async () => {
        const id = await allocate('a', app('x'));
        const { epoch, revision } = store;
        await restart();
        expect({ epoch: store.epoch, revision: store.revision }).toEqual({ epoch, revision });
        expect(store.get(id)?.labels.key).toBe('k8s:app=x;');
        expect(store.referencesTo(id)).toBe(1);
        expect(await allocate('b', app('x'))).toBe(id);
      });

      it('begins leases and graces anew, because nobody could renew meanwhile', async () => {
        const held = await allocate('a', app('held'));
        const unheld = await allocate('b', app('unheld'));
        await store.release({ node: 'b', id: unheld });
        await store.close();
        await clock.advance(24 * 60 * minute);
        store = await underTest.open({ times: suiteTimes, clock });
        expect(await store.collectGarbage()).toEqual({ expiredNodes: [], deleted: [] });
        await clock.advance(suiteTimes.leaseMs);
        expect((await store.collectGarbage()).expiredNodes).toEqual(['a']);
        await clock.advance(suiteTimes.graceMs);
        await store.collectGarbage();
        expect([store.get(held), store.get(unheld)]).toEqual([undefined, undefined]);
      });

      it('remembers which numbers are retired', async () => {
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await clock.advance(suiteTimes.graceMs);
        await store.collectGarbage();
        await restart();
        expect(store.get(id)).toBeUndefined();
        expect(await allocate('a', app('x'))).toBe(id);
      });
    });

    describe('release()', () => {
      it('gives up the reference of this node only', async () => {
        const id = await allocate('a', app('x'));
        await allocate('b', app('x'));
        await store.release({ node: 'a', id });
        expect(store.referencesTo(id)).toBe(1);
      });

      it('takes it as done when there is nothing to give up', async () => {
        await store.release({ node: 'a', id: 300 });
        expect(store.counts.references).toBe(0);
      });
    });

    describe('collectGarbage()', () => {
      it('takes an identity that nobody held for the grace period, not earlier', async () => {
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await clock.advance(suiteTimes.graceMs - 1);
        expect((await store.collectGarbage()).deleted).toEqual([]);
        await clock.advance(1);
        expect((await store.collectGarbage()).deleted).toEqual([id]);
        expect(store.get(id)).toBeUndefined();
        expect(idsInUse()).toEqual([]);
      });

      it('starts the grace period again when somebody held the identity in between', async () => {
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await clock.advance(suiteTimes.graceMs - 1);
        await allocate('b', app('x'));
        await store.release({ node: 'b', id });
        await clock.advance(suiteTimes.graceMs - 1);
        expect((await store.collectGarbage()).deleted).toEqual([]);
      });

      it('never takes an identity that a node holds and renews', async () => {
        const id = await allocate('a', app('x'));
        for (let round = 0; round < 10; round += 1) {
          await clock.advance(suiteTimes.leaseMs - 1);
          await store.renewLease({ node: 'a', held: [{ id, labels: app('x') }] });
          expect(await store.collectGarbage()).toEqual({ expiredNodes: [], deleted: [] });
        }
      });

      it.each([
        ['was released and taken again', async (): Promise<void> => undefined],
        ['comes out of a restart', restart],
      ])('never takes an identity in use that %s', async (_what, before) => {
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await allocate('b', app('x'));
        await before();
        for (const waitMs of [suiteTimes.leaseMs - 1, suiteTimes.graceMs - suiteTimes.leaseMs + 1]) {
          await clock.advance(waitMs);
          await store.renewLease({ node: 'b', held: [{ id, labels: app('x') }] });
        }
        expect((await store.collectGarbage()).deleted).toEqual([]);
        expect(store.referencesTo(id)).toBe(1);
      });

      it('frees the references of a node whose lease ran out, and of no other', async () => {
        const id = await allocate('dead', app('x'));
        await allocate('alive', app('x'));
        await clock.advance(suiteTimes.leaseMs - 1);
        await store.renewLease({ node: 'alive', held: [{ id, labels: app('x') }] });
        await clock.advance(1);
        expect((await store.collectGarbage()).expiredNodes).toEqual(['dead']);
        expect(store.referencesTo(id)).toBe(1);
        expect(store.counts.nodes).toBe(1);
      });

      it('leaves a node alone whose lease ran out but which has called since', async () => {
        const x = await allocate('a', app('x'));
        await clock.advance(suiteTimes.leaseMs);
        const y = await allocate('a', app('y'));
        expect((await store.collectGarbage()).expiredNodes).toEqual([]);
        expect([store.referencesTo(x), store.referencesTo(y)]).toEqual([1, 1]);
      });

      it('keeps a retired number from other label sets for the reuse delay, which a restart begins anew', async () => {
        const reopen = async (): Promise<void> => {
          await store.close();
          store = await underTest.open({ times: suiteTimes, clock, range: { min: 300, max: 300 } });
        };
        await reopen();
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await clock.advance(suiteTimes.graceMs);
        await store.collectGarbage();
        for (const before of [async () => undefined, reopen]) {
          await clock.advance(suiteTimes.reuseDelayMs - 1);
          await before();
          expect(await failureCode(allocate('a', app('y')))).toBe('RESOURCE_EXHAUSTED');
        }
        await clock.advance(suiteTimes.reuseDelayMs);
        expect(await allocate('a', app('y'))).toBe(id);
        expect(await failureCode(allocate('a', app('x')))).toBe('RESOURCE_EXHAUSTED');
        expect(changes(0).upserted.map(({ labels }) => labels.key)).toEqual(['k8s:app=y;']);
      });

      it('gives a label set its former number back while no other set has it', async () => {
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await clock.advance(suiteTimes.graceMs + 2 * suiteTimes.reuseDelayMs);
        await store.collectGarbage();
        const again = await store.allocate({ node: 'a', labels: app('x') });
        expect({ id: again.identity.id, created: again.created }).toEqual({ id, created: true });
      });
    });

    describe('renewLease()', () => {
      it('takes references again under the same numbers when the store does not know them', async () => {
        const held = [
          { id: 300, labels: app('x') },
          { id: 400, labels: app('y') },
        ];
        expect(await store.renewLease({ node: 'a', held })).toEqual({ lost: [] });
        expect(idsInUse()).toEqual([300, 400]);
        expect(await allocate('b', app('y'))).toBe(400);
      });

      it('gives up references that it does not name', async () => {
        const [x, y] = [await allocate('a', app('x')), await allocate('a', app('y'))];
        await store.renewLease({ node: 'a', held: [{ id: y, labels: app('y') }] });
        expect([store.referencesTo(x), store.referencesTo(y)]).toEqual([0, 1]);
      });

      it('reports a number that belongs to another label set, and one whose label set has another number', async () => {
        const x = await allocate('a', app('x'));
        const other = x === 500 ? 501 : 500;
        const held = [
          { id: x, labels: app('not x') },
          { id: other, labels: app('x') },
        ];
        expect(await store.renewLease({ node: 'b', held })).toEqual({ lost: [x, other] });
        expect(store.get(x)?.labels.key).toBe('k8s:app=x;');
        expect(store.counts).toMatchObject({ identities: 1, references: 1 });
      });

      it('brings back an identity that was retired meanwhile', async () => {
        const id = await allocate('a', app('x'));
        await clock.advance(suiteTimes.leaseMs);
        await store.collectGarbage();
        await clock.advance(suiteTimes.graceMs);
        await store.collectGarbage();
        expect(store.get(id)).toBeUndefined();
        expect(await store.renewLease({ node: 'a', held: [{ id, labels: app('x') }] })).toEqual({ lost: [] });
        expect(store.referencesTo(id)).toBe(1);
      });
    });

    describe('changesAfter()', () => {
      it('tells what was made and what was retired since a revision, in order', async () => {
        const [x, y] = [await allocate('a', app('x')), await allocate('a', app('y'))];
        const middle = store.revision;
        const z = await allocate('a', app('z'));
        await store.release({ node: 'a', id: x });
        await clock.advance(suiteTimes.graceMs);
        await store.renewLease({ node: 'a', held: [y, z].map((id) => ({ id, labels: store.get(id)!.labels })) });
        await store.collectGarbage();
        const since = changes(middle);
        expect(since.upserted.map(({ id }) => id)).toEqual([z]);
        expect(since.deleted).toEqual([x]);
        expect({ revision: since.revision, complete: since.complete }).toEqual({
          revision: store.revision,
          complete: true,
        });
        expect(changes(0).upserted.map(({ id }) => id)).toEqual([y, z]);
      });

      it('skips what is no longer true', async () => {
        const id = await allocate('a', app('x'));
        await store.release({ node: 'a', id });
        await clock.advance(suiteTimes.graceMs);
        await store.collectGarbage();
        await allocate('a', app('x'));
        expect(changes(0)).toMatchObject({ upserted: [{ id }], deleted: [] });
      });

      it('comes in portions that together are everything', async () => {
        for (let index = 0; index < 50; index += 1) await allocate('a', app(index));
        const seen: number[] = [];
        let portions = 0;
        for (let after = 0, complete = false; !complete; portions += 1) {
          const portion = changes(after, 200);
          seen.push(...portion.upserted.map(({ id }) => id));
          ({ revision: after, complete } = portion);
        }
        expect(portions).toBeGreaterThan(5);
        expect(seen.toSorted((a, b) => a - b)).toEqual(idsInUse());
      });

      it('is told of through onChange() once per durable batch, and not when nothing changed', async () => {
        let told = 0;
        const stop = store.onChange(() => (told += 1));
        await Promise.all([allocate('a', app('x')), allocate('a', app('y'))]);
        const once = told;
        await allocate('a', app('x'));
        stop();
        await allocate('a', app('z'));
        expect({ once, told }).toEqual({ once: expect.any(Number), told: once });
        expect(once).toBeGreaterThan(0);
      });
    });

    describe('close()', () => {
      it('finishes what has begun and refuses what comes later with UNAVAILABLE', async () => {
        const begun = allocate('a', app('x'));
        await store.close();
        const id = await begun;
        expect(await failureCode(allocate('a', app('y')))).toBe('UNAVAILABLE');
        store = await underTest.open({ times: suiteTimes, clock });
        expect(store.get(id)?.labels.key).toBe('k8s:app=x;');
      });
    });
  });
}
