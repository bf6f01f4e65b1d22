// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createTestAgent,
  createTestNode,
  podSpec,
  policyFor,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';

let node: TestNode;
let agent: TestAgent;
beforeEach(() => {
  node = createTestNode();
  agent = createTestAgent(node);
});
afterEach(() => node.remove());

const importPolicy = (...policies: ReturnType<typeof policyFor>[]): Promise<void> =>
  agent.controller.commit({ policy: { upsertPolicies: policies } });
const ports = (count: number): number[] => Array.from({ length: count }, (_, index) => 1000 + index);
/** Ports that an endpoint takes calls on, by the kernel. */
const openPorts = (app: string): number[] => {
  const { identity = 0 } = agent.table.find(podSpec(app)) ?? {};
  return node.datapath
    .listPolicy(agent.slots.find(identity) ?? 0)
    .map(({ port }) => port)
    .sort();
};

describe('commit()', () => {
  it('tells the proxy before the kernel, and makes commits one after the other', async () => {
    const order: string[] = [];
    const { apply } = node.datapath;
    node.datapath.apply = (change) => {
      order.push(`apply after ${agent.published.length}`);
      return apply(change);
    };
    agent = createTestAgent(node);
    const commits = [1, 2, 3].map((n) =>
      agent.controller.commit({
        datapath: () => {
          order.push(`place ${n}`);
          return {};
        },
      }),
    );
    await Promise.all(commits);
    expect(order).toEqual(['place 1', 'apply after 1', 'place 2', 'apply after 2', 'place 3', 'apply after 3']);
  });

  it('writes an identity that comes as a patch of the policies that name it', async () => {
    await importPolicy(policyFor('server', { from: 'client' }));
    await agent.manager.add(podSpec('server'));
    expect(openPorts('server')).toEqual([]);
    await agent.manager.add(podSpec('client'));
    expect(openPorts('server')).toEqual([80]);
    await agent.manager.remove(podSpec('client'));
    await agent.controller.commit({ policy: { deleteIdentities: [257] } });
    expect(openPorts('server')).toEqual([]);
  });

  it('changes nothing when the engine refuses the update', async () => {
    await expect(agent.controller.commit({ policy: { deleteIdentities: [1] } })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect([node.datapath.revision, agent.controller.behind.size]).toEqual([0, 0]);
  });

  it('runs what comes between commits while none is made', async () => {
    let isCommitting = false;
    const { apply } = node.datapath;
    node.datapath.apply = async (change) => {
      isCommitting = true;
      await apply(change);
      isCommitting = false;
    };
    agent = createTestAgent(node);
    const commit = agent.controller.commit({});
    expect(await agent.controller.between(() => isCommitting)).toBe(false);
    await commit;
  });
});

describe('a policy that has no room', () => {
  beforeEach(async () => {
    await importPolicy(policyFor('a', { from: 'client', ports: [1] }), policyFor('b', { from: 'client', ports: [2] }));
    for (const app of ['a', 'b', 'client']) await agent.manager.add(podSpec(app));
    node.datapath.limit({ policyEntriesMax: 10 });
    await expect(importPolicy(policyFor('a', { from: 'client', ports: ports(40) }))).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
    });
  });

  it('leaves the one before in force, and says which identity is behind, and at which revision', () => {
    expect(openPorts('a')).toEqual([1]);
    expect([...agent.controller.behind]).toEqual([[256, { revision: 1, reason: expect.stringContaining('no room') }]]);
  });

  it('does not hold up other policies and pods', async () => {
    await importPolicy(policyFor('b', { from: 'client', ports: [3] }));
    expect(openPorts('b')).toEqual([3]);
    await agent.manager.add(podSpec('c'));
    await agent.manager.remove(podSpec('b'));
    expect(node.datapath.listEndpoints().map(({ id }) => id)).toEqual([1, 3, 4]);
    expect(agent.controller.behind.size).toBe(1);
  });

  it('is tried again every second until there is room', async () => {
    node.datapath.limit({ policyEntriesMax: 100 });
    await node.clock.advance(999);
    expect(openPorts('a')).toEqual([1]);
    await node.clock.advance(1);
    expect(openPorts('a')).toHaveLength(40);
    expect(agent.controller.behind.size).toBe(0);
    expect(node.clock.pendingCount).toBe(0);
  });

  it('is forgotten with a smaller one in its place', async () => {
    await importPolicy(policyFor('a', { from: 'client', ports: [7] }));
    expect([openPorts('a'), agent.controller.behind.size]).toEqual([[7], 0]);
  });

  it('still loses an identity that is gone: its number may come again', async () => {
    await agent.manager.remove(podSpec('client'));
    await agent.controller.commit({ policy: { deleteIdentities: [258] } });
    expect(node.datapath.listPolicy(1).map(({ peerIdentity }) => peerIdentity)).not.toContain(258);
  });

  it('is forgotten with its last endpoint', async () => {
    await agent.manager.remove(podSpec('a'));
    expect(agent.controller.behind.size).toBe(0);
  });
});

it('keeps the slot of an identity that is gone until the kernel has been told', async () => {
  await importPolicy(policyFor('a', { from: 'client' }));
  await agent.manager.add(podSpec('a'));
  node.faults.failCall(1);
  await expect(agent.controller.commit({ policy: { deleteSubjects: [256] } })).rejects.toThrow('Injected fault');
  expect(agent.slots.find(256)).toBe(1);
  await node.clock.advance(1_000);
  expect([agent.slots.find(256), node.datapath.listPolicySlots()]).toEqual([undefined, []]);
});
