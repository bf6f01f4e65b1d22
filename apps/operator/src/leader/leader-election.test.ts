// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { createMemoryKeyValueStore, type Fault, type MemoryKeyValueStore } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createStoreClaims } from './leader-claims.ts';
import { createLeaderElection, type LeaderElection } from './leader-election.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const leaseMs = 1_000;

let clock: ManualClock;
let faults: Record<string, Fault>;
let shared: MemoryKeyValueStore;
beforeEach(() => {
  clock = createManualClock();
  faults = {};
  shared = createMemoryKeyValueStore();
});

/** A candidate whose way to the store can be broken. */
function candidate(name: string): LeaderElection {
  const lost = async (): Promise<never> => {
    throw Object.assign(new Error('Lost'), { code: 'UNAVAILABLE' });
  };
  const store = {
    ...shared,
    get: (key: string) => (faults[name] === 'lost-before' ? lost() : shared.get(key)),
    swap: (swap: Parameters<typeof shared.swap>[0]) => (faults[name] === 'lost-before' ? lost() : shared.swap(swap)),
  };
  return createLeaderElection({
    ...{ claims: createStoreClaims({ store, key: 'leader', clock }), name, id: name, leaseMs, clock, logger },
  });
}

/** Time goes on, and never are there two leaders. */
async function pass(ms: number, candidates: readonly LeaderElection[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    await clock.advance(10);
    expect(candidates.filter(({ isLeader }) => isLeader).length).toBeLessThan(2);
  }
}

describe('createLeaderElection()', () => {
  it('has the first one lead, for as long as it says so', async () => {
    const both = [candidate('a'), candidate('b')];
    both.forEach((each) => each.start());
    await pass(5 * leaseMs, both);
    expect(both.map(({ isLeader }) => isLeader)).toEqual([true, false]);
    expect(both.map(({ leader }) => leader)).toEqual(['a', 'a']);
    await Promise.all(both.map((each) => each.stop()));
  });

  it('has one that cannot reach the store stop before another one begins', async () => {
    const both = [candidate('a'), candidate('b')];
    both.forEach((each) => each.start());
    await pass(leaseMs, both);
    faults['a'] = 'lost-before';
    await pass(leaseMs * 0.8, both);
    expect(both.map(({ isLeader }) => isLeader)).toEqual([false, false]);
    expect(both[0]?.away).toBe('Lost');
    await pass(leaseMs, both);
    expect(both.map(({ isLeader }) => isLeader)).toEqual([false, true]);
    delete faults['a'];
    await pass(leaseMs, both);
    expect([both[0]?.isLeader, both[0]?.leader, both[0]?.away]).toEqual([false, 'b', undefined]);
    await Promise.all(both.map((each) => each.stop()));
  });

  it('has another one lead at once when one resigns', async () => {
    const both = [candidate('a'), candidate('b')];
    both.forEach((each) => each.start());
    await pass(leaseMs, both);
    await both[0]?.stop();
    await pass(leaseMs / 4, both);
    expect(both.map(({ isLeader }) => isLeader)).toEqual([false, true]);
    await both[1]?.stop();
  });
});
