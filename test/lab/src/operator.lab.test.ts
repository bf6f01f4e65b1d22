// SPDX-License-Identifier: Apache-2.0
// Nodes that have their pod ranges from operators: two of them, of which one leads, dies, and leaves the other one to go on.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLab } from '@weir/lab';
import { OperatorDefinition, type weir } from '@weir/proto';
import { createRpcClient } from '@weir/rpc';
import { eventually } from './testing/services.ts';

const nodes = ['node1', 'node2', 'node3'] as const;
const lab = createLab({ name: `operator${process.pid}` });

/** What one of the operators says; undefined while it does not answer. */
async function statusOf(index: number): Promise<weir.operator.v1.GetStatusResponse | undefined> {
  const client = createRpcClient(OperatorDefinition, { address: `unix:${lab.paths.operatorSocket(index)}` });
  try {
    return await client.getStatus({}, { deadlineMs: 2_000 }).catch(() => undefined);
  } finally {
    client.close();
  }
}

const leaders = async (): Promise<number[]> =>
  (await Promise.all([0, 1].map(statusOf))).flatMap((status, index) => (status?.role === 'leader' ? [index] : []));
const nameOf = (index: number): string => ['operator', 'operator2'][index]!;

/** Which node has which IPv4 range, as the operators have it. */
async function ranges(): Promise<Record<string, string>> {
  const status = await eventually('an operator answers', async () => (await statusOf(0)) ?? (await statusOf(1)));
  return Object.fromEntries(status.nodes.map((each) => [each.node ?? '', each.ranges?.ipv4 ?? '']));
}

async function rangesOfAgents(): Promise<Record<string, string>> {
  const { nodes: known } = await lab.status();
  return Object.fromEntries(known.map(({ name, podRange }) => [name, podRange.ipv4]));
}

/** Asks for ranges as a node does. */
async function acquire(node: string): Promise<weir.operator.v1.AcquirePodRangesResponse> {
  const address = [0, 1].map((index) => `unix:${lab.paths.operatorSocket(index)}`).join(',');
  const client = createRpcClient(OperatorDefinition, { address });
  try {
    // Between one leader and the next there is none.
    return await eventually(`${node} has ranges`, () =>
      client.acquirePodRanges({ node }).catch((error: { code?: unknown }) => {
        if (error.code === 'UNAVAILABLE') return undefined;
        throw error;
      }),
    );
  } finally {
    client.close();
  }
}

const reaches = async (from: string, to: string): Promise<boolean> => {
  const { ipv4, ipv6 } = (await lab.pods()).find(({ name }) => name === to)!;
  const pings = await Promise.all([ipv4, ipv6].map((address) => lab.exec(from, ['ping', '-c1', '-W5', address])));
  return pings.every(({ status }) => status === 0);
};

beforeAll(async () => {
  await lab.up({
    ...{ nodeCount: nodes.length, ipam: 'cluster', operatorCount: 2, timeoutMs: 90_000 },
    allocatorArguments: ['--lease=4s', '--gc-grace=4s', '--reuse-delay=4s'],
    operatorArguments: ['--node-grace=6s', '--leader-lease=2s', '--gc-interval=500ms', '--ipv4-pool=10.244.0.0/22'],
  });
}, 120_000);
afterAll(() => lab.down(), 30_000);

describe('nodes', () => {
  it('have ranges of their own, over which their pods reach each other', async () => {
    const given = await eventually('all have ranges', async () => {
      const found = await ranges();
      return nodes.every((node) => node in found) ? found : undefined;
    });
    expect(new Set(Object.values(given)).size).toBe(nodes.length);
    expect(await rangesOfAgents()).toEqual(given);
    for (const node of nodes) await lab.addPod({ name: `on-${node}`, node });
    for (const [from, to] of [
      ['on-node1', 'on-node2'],
      ['on-node3', 'on-node1'],
    ] as const) {
      expect(await reaches(from, to)).toBe(true);
    }
  });

  it('keep them when agents and operators die', async () => {
    const given = await ranges();
    await Promise.all(['operator', 'operator2'].map((name) => lab.stopService(name, 'SIGKILL')));
    // An agent comes back with its ranges also when there is nobody to ask.
    await lab.stopService('node1/agent', 'SIGKILL');
    await lab.startService('node1/agent');
    await lab.up();
    expect(await rangesOfAgents()).toEqual(given);
    expect(await reaches('on-node1', 'on-node2')).toBe(true);
    await Promise.all(['operator', 'operator2'].map((name) => lab.startService(name)));
    await eventually('one leads', async () => (await leaders()).length === 1);
    expect(await ranges()).toEqual(given);
  });
});

describe('operators', () => {
  it('of two, one leads; the other one takes over when it dies, also the garbage collection', async () => {
    const [leader] = await eventually('one leads', async () => {
      const found = await leaders();
      return found.length === 1 ? found : undefined;
    });
    const other = 1 - leader!;
    await lab.stopService(nameOf(leader!), 'SIGKILL');
    await eventually('the other one leads', async () => (await statusOf(other))?.role === 'leader');
    const before = Date.now();
    await eventually('it collects garbage', async () => {
      const at = (await statusOf(other))?.lastCollection?.atMs ?? 0;
      return at > before;
    });
    await lab.startService(nameOf(leader!));
    await eventually('one leads, and the other one follows', async () => {
      const roles = (await Promise.all([0, 1].map(statusOf))).map((status) => status?.role);
      return roles.toSorted().join() === 'follower,leader';
    });
  });

  it('give the ranges of a node that is gone to another one after the grace, and not before', async () => {
    const given = await ranges();
    await lab.removePod('on-node3');
    await lab.stopService('node3/agent', 'SIGKILL');
    await eventually('the node is missed', async () => {
      const status = await Promise.all([0, 1].map(statusOf));
      return status.some((each) => each?.nodes.some(({ node, absentSinceMs }) => node === 'node3' && absentSinceMs));
    });
    expect((await ranges()).node3).toBe(given.node3);
    await eventually('its ranges are free', async () => (await ranges()).node3 === undefined);
    const [first, second] = [await acquire('new1'), await acquire('new2')];
    // Four ranges, of which two are in use.
    const inUse = [given.node1, given.node2];
    const all = ['10.244.0.0/24', '10.244.1.0/24', '10.244.2.0/24', '10.244.3.0/24'];
    expect([first, second].map((each) => each.ranges?.ipv4).toSorted()).toEqual(
      all.filter((range) => !inUse.includes(range)),
    );
    expect(given.node3).toBeDefined();
  });

  it('a node that comes back when the pool is used up waits, says so, and starts when there is room', async () => {
    const path = join(lab.paths.node('node3').stateDirectory, 'pod-ranges.json');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ ipv4: expect.any(String) });
    writeFileSync(path, 'damaged: as good as none');
    await lab.startService('node3/agent');
    await eventually('its log names the pool', async () => {
      // As nodes do that are about to come, however long that takes.
      for (const name of ['new1', 'new2']) await acquire(name);
      const log = readFileSync(join(lab.paths.logDirectory, 'node3-agent.log'), 'utf8');
      return log.includes('of the pool 10.244.0.0/22 are in use');
    });
    // The two that never came make room when their grace is over.
    await lab.up();
    const now = await ranges();
    expect(new Set(Object.values(now)).size).toBe(Object.keys(now).length);
    expect(await rangesOfAgents()).toMatchObject({ node3: now.node3 });
  });
});
