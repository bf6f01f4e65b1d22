// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock } from '@weir/clock';
import type { ClusterNode } from '@weir/identity-client';
import { parseCidr } from '@weir/model';
import { OperatorDefinition } from '@weir/proto';
import { createRpcClient, createRpcServer, type RpcClient, type RpcServer } from '@weir/rpc';
import { createSharedLog } from '@weir/shared-log';
import { createMemoryKeyValueStore } from '@weir/shared-log-testing';
import { createLogger } from '@weir/telemetry';
import { createAbsentNodes } from '../ranges/absent-nodes.ts';
import { createPodRangePool } from '../ranges/pod-range-pool.ts';
import { createRangeGiver } from '../ranges/range-giver.ts';
import { createRangeLedger } from '../ranges/range-ledger.ts';
import { createOperatorService } from './operator-service.ts';
import { describeOperator } from './operator-status.ts';

const log = createLogger({ service: 'test', level: 'silent' });
const pools = {
  ipv4: createPodRangePool(parseCidr('10.0.0.0/23'), 24),
  ipv6: createPodRangePool(parseCidr('fd00::/48'), 64),
};

let directory: string;
let server: RpcServer;
let client: RpcClient<typeof OperatorDefinition>;
let election: { isLeader: boolean; leader: string; away: string | undefined };
let cluster: { nodes: Map<string, ClusterNode>; outOfSight: string | undefined };
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-operator-'));
  election = { isLeader: true, leader: 'op', away: undefined };
  cluster = { nodes: new Map(), outOfSight: undefined };
  const shared = createSharedLog({ store: createMemoryKeyValueStore(), prefix: 'p' });
  const ledger = createRangeLedger({ log: shared, pools, logger: log });
  const absent = createAbsentNodes({ graceMs: 1_000, clock: createManualClock() });
  const duties = { reason: undefined, lastCollection: { atMs: 5, deleted: 2 }, collections: 3, releases: 1 };
  const about = { name: 'op', version: '1', startedMs: 3, pools, election, ledger, absent, duties, graceMs: 9 };
  const status = () => describeOperator(about);
  const service = createOperatorService({
    ...{ election, ledger, giver: createRangeGiver({ ledger, cluster }), absent, status, log },
  });
  const address = `unix:${directory}/s`;
  server = createRpcServer({ services: [service], listen: [address] });
  await server.start();
  client = createRpcClient(OperatorDefinition, { address });
});
afterEach(async () => {
  client.close();
  await server.stop({ deadlineMs: 0 });
  rmSync(directory, { recursive: true });
});

describe('AcquirePodRanges', () => {
  it('gives a node the same ranges every time, and others than those that another one has announced', async () => {
    cluster.nodes.set('n2', { name: 'n2', addresses: [], podRanges: ['10.0.0.0/24', 'fd00::/64'] });
    const first = await client.acquirePodRanges({ node: 'n1' });
    expect(first.ranges).toEqual({ ipv4: '10.0.1.0/24', ipv6: 'fd00:0:0:1::/64' });
    expect(await client.acquirePodRanges({ node: 'n1' })).toEqual(first);
  });

  it.each([
    ['it does not lead', () => Object.assign(election, { isLeader: false, leader: 'b' }), 'does not lead: ask "b"'],
    ['the store is away', () => Object.assign(election, { isLeader: false, away: 'gone' }), 'The store is away: gone'],
    ['nodes are out of sight', () => (cluster.outOfSight = 'no allocator'), 'which ranges are in use: no allocator'],
  ])('refuses while %s', async (_what, happen, message) => {
    happen();
    await expect(client.acquirePodRanges({ node: 'n1' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(message),
    });
  });

  it.each([
    [{ node: 'a b' }, 'node: "a b" is not a node name'],
    [{ node: 'n1', known: { ipv4: 'x' } }, 'known.ipv4: "x" is not a prefix of this family'],
    [{ node: 'n1', known: { ipv6: '10.0.0.0/24' } }, 'known.ipv6: "10.0.0.0/24" is not a prefix of this family'],
  ])('refuses %j', async (request, message) => {
    await expect(client.acquirePodRanges(request)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    });
  });

  it('names the pool that is used up', async () => {
    for (const node of ['n1', 'n2']) await client.acquirePodRanges({ node });
    await expect(client.acquirePodRanges({ node: 'n3' })).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: expect.stringContaining('of the pool 10.0.0.0/23 are in use'),
    });
  });
});

describe('GetStatus', () => {
  it('has role, pools and who has which ranges', async () => {
    await client.acquirePodRanges({ node: 'n1' });
    expect(await client.getStatus({})).toMatchObject({
      ...{ name: 'op', role: 'leader', leader: 'op', reason: '', lastCollection: { deleted: 2 } },
      ...{ collections: 3, releases: 1, graceMs: 9 },
      ipv4Pool: { prefix: '10.0.0.0/23', nodePrefixLength: 24, capacity: 2 },
      nodes: [{ node: 'n1', ranges: { ipv4: '10.0.0.0/24', ipv6: 'fd00::/64' }, absentSinceMs: 0 }],
    });
  });
});
