// SPDX-License-Identifier: Apache-2.0
// What operators promise each other, on every store: in memory, in a file, and on real servers.
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import { formatCidr, parseCidr } from '@weir/model';
import { createSharedLog } from '@weir/shared-log';
import { type StoreKind, storeKinds, type StorePlace } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createStoreClaims } from './leader/leader-claims.ts';
import { createLeaderElection, type LeaderElection } from './leader/leader-election.ts';
import { createPodRangePool } from './ranges/pod-range-pool.ts';
import { createRangeLedger, type RangeLedger } from './ranges/range-ledger.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
const pools = {
  ipv4: createPodRangePool(parseCidr('10.0.0.0/19'), 24),
  ipv6: createPodRangePool(parseCidr('fd00::/48'), 64),
};
const nodesMax = 32;

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error('it does not come to hold');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function testStore({ make }: StoreKind): void {
  let place: StorePlace, prefix: string;
  const open: { close(): void }[] = [];
  beforeAll(async () => {
    place = await make();
  }, 60_000);
  afterAll(() => place.destroy());
  beforeEach(() => {
    prefix = `weir/${randomUUID()}`;
  });
  afterEach(() => open.splice(0).forEach((each) => each.close()));

  const ledger = (): RangeLedger => {
    const log = createSharedLog({ store: place.open(), prefix, keptEntries: 2 });
    const made = createRangeLedger({ log, pools, logger, entriesPerSnapshot: 5 });
    open.push(made);
    return made;
  };
  const acquire = async (from: RangeLedger, node: string): Promise<string> => {
    const { ipv4, ipv6 } = await from.acquire({ node, known: {}, occupied: [] });
    return `${formatCidr(ipv4)} ${formatCidr(ipv6)}`;
  };

  it('two that both believe to lead never give a range to two nodes, and each node one', async () => {
    const both = [ledger(), ledger()];
    const names = Array.from({ length: nodesMax }, (_, index) => `n${index >> 1}`);
    const given = await Promise.all(names.map((name, index) => acquire(both[index % 2]!, name)));
    const byNode = new Map(names.map((name, index) => [name, given[index]!]));
    names.forEach((name, index) => expect(given[index]).toBe(byNode.get(name)));
    expect(new Set(byNode.values()).size).toBe(byNode.size);
  });

  it('what was given stays given after a restart, through snapshots, until the pool is used up', async () => {
    const names = Array.from({ length: nodesMax }, (_, index) => `n${index}`);
    const first = ledger();
    const given: string[] = [];
    for (const name of names) given.push(await acquire(first, name));
    expect(new Set(given).size).toBe(nodesMax);
    const second = ledger();
    for (const [index, name] of names.entries()) expect(await acquire(second, name)).toBe(given[index]);
    await expect(acquire(second, 'one-too-many')).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: 'All 32 ranges of 24 bits of the pool 10.0.0.0/19 are in use',
    });
  });

  it('one that was stopped before it took ranges does not take them from whom they belong to by now', async () => {
    const [slow, other] = [ledger(), ledger()];
    await acquire(slow, 'a');
    const ranges = slow.table.get('a')!;
    await other.refresh();
    await other.release('a', other.table.get('a')!);
    await acquire(other, 'a');
    await slow.release('a', ranges);
    await other.refresh();
    expect(other.table.get('a')).toBeDefined();
  });

  const candidate = (name: string): LeaderElection =>
    createLeaderElection({
      claims: createStoreClaims({ store: place.open(), key: `${prefix}/leader`, clock: systemClock }),
      ...{ name, id: randomUUID(), leaseMs: 500, clock: systemClock, logger },
    });

  it('one leads; another one at once when it resigns, and after the lease when it falls silent', async () => {
    const [a, b] = [candidate('a'), candidate('b')];
    a.start();
    await until(() => a.isLeader);
    b.start();
    await until(() => b.leader === 'a');
    expect(b.isLeader).toBe(false);
    await a.stop();
    expect(a.isLeader).toBe(false);
    await until(() => b.isLeader);
    await b.stop();
  });
}

for (const kind of storeKinds) {
  if (kind.skipReason !== undefined) process.stderr.write(`Skipped: operators on ${kind.name}: ${kind.skipReason}\n`);
  (kind.skipReason === undefined ? describe : describe.skip)(`operators on ${kind.name}`, () => testStore(kind));
}
