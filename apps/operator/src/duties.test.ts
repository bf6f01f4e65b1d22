// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { ClusterNode } from '@weir/identity-client';
import { parseCidr } from '@weir/model';
import { createSharedLog } from '@weir/shared-log';
import { createMemoryKeyValueStore } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createDuties, type Duties } from './duties.ts';
import { type AbsentNodes, createAbsentNodes } from './ranges/absent-nodes.ts';
import { createPodRangePool } from './ranges/pod-range-pool.ts';
import { createRangeLedger, type RangeLedger } from './ranges/range-ledger.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const graceMs = 10_000;
const somebody: ClusterNode = { name: '', addresses: [], podRanges: [] };
const pools = {
  ipv4: createPodRangePool(parseCidr('10.0.0.0/16'), 24),
  ipv6: createPodRangePool(parseCidr('fd00::/48'), 64),
};

let clock: ManualClock;
let ledger: RangeLedger;
let absent: AbsentNodes;
let duties: Duties;
let election: { isLeader: boolean };
let cluster: { nodes: Map<string, ClusterNode>; outOfSight: string | undefined };
let collected: () => Promise<readonly number[]>;
beforeEach(async () => {
  clock = createManualClock();
  ledger = createRangeLedger({
    log: createSharedLog({ store: createMemoryKeyValueStore(), prefix: 'p' }),
    pools,
    logger,
  });
  absent = createAbsentNodes({ graceMs, clock });
  election = { isLeader: true };
  cluster = { nodes: new Map(), outOfSight: undefined };
  collected = async () => [300];
  duties = createDuties({
    ...{ election, ledger, cluster, absent, clock, logger, graceMs, gcIntervalMs: 60_000 },
    collectGarbage: () => collected(),
  });
  await ledger.acquire({ node: 'gone', known: {}, occupied: [] });
  await ledger.acquire({ node: 'there', known: {}, occupied: [] });
  cluster.nodes.set('there', somebody);
  duties.start();
});
afterEach(() => duties.stop());

/** In steps, so that every round of duties is one of its own. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) await clock.advance(500);
}
const owners = (): string[] => [...ledger.table.all()].map(([node]) => node);

describe('the leader', () => {
  it('takes the ranges of a node that is gone after the grace, not before, and of no other', async () => {
    await pass(graceMs - 1_500);
    expect(owners()).toEqual(['gone', 'there']);
    expect(absent.sinceMs('gone')).toBeDefined();
    await pass(3_000);
    expect(owners()).toEqual(['there']);
    expect(duties.releases).toBe(1);
  });

  it('begins to count anew when the node asks for its ranges, or is back for a moment', async () => {
    await pass(graceMs - 1_500);
    absent.touch('gone');
    await pass(graceMs - 1_500);
    cluster.nodes.set('gone', somebody);
    await pass(2_000);
    cluster.nodes.delete('gone');
    await pass(graceMs - 1_500);
    expect(owners()).toEqual(['gone', 'there']);
  });

  it('does not count the time in which nobody can see who is there, or in which it did not lead', async () => {
    await pass(graceMs - 1_500);
    cluster.outOfSight = 'the allocator is away';
    await pass(2 * graceMs);
    expect(duties.reason).toBe('Nobody can say which nodes there are: the allocator is away');
    cluster.outOfSight = undefined;
    await pass(graceMs - 1_500);
    election.isLeader = false;
    await pass(2 * graceMs);
    expect(owners()).toEqual(['gone', 'there']);
  });

  it('writes down what nodes have announced, unless another one has it or it is of no pool', async () => {
    const podRanges = (third: number): string[] => [`10.0.${third}.0/24`, `fd00:0:0:${third}::/64`];
    const taken = ledger.table.get('there')!;
    cluster.nodes.set('told', { name: 'told', addresses: [], podRanges: podRanges(9) });
    cluster.nodes.set('thief', { name: 'thief', addresses: [], podRanges: podRanges(1) });
    cluster.nodes.set('far', { name: 'far', addresses: [], podRanges: ['192.0.2.0/24', 'fd99::/64'] });
    await pass(2_000);
    expect(owners()).toEqual(['gone', 'there', 'told']);
    expect(ledger.table.get('there')).toBe(taken);
  });

  it('asks for garbage collections in their interval, and says when one fails', async () => {
    await pass(59_000);
    expect(duties.collections).toBe(1);
    await pass(3_000);
    expect(duties.collections).toBe(2);
    expect(duties.lastCollection).toMatchObject({ deleted: 1 });
    collected = () => Promise.reject(new WeirError('UNAVAILABLE', 'the allocator is away'));
    await pass(62_000);
    expect([duties.collections, duties.reason]).toEqual([2, 'the allocator is away']);
  });
});
