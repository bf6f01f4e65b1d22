// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseIpAddress } from '@weir/model';
import {
  createTestAgent,
  createTestNode,
  inventory,
  podSpec,
  policyFor,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';

const policies = [policyFor('server', { from: 'client' })];
let node: TestNode;
let before: TestAgent;
beforeEach(async () => {
  node = createTestNode();
  before = createTestAgent(node);
  await before.controller.commit({ policy: { upsertPolicies: policies } });
});
afterEach(() => node.remove());

const states = (agent: TestAgent) => agent.table.list().map(({ record, state }) => [record.pod, state]);
const fileOf = (id: number): string => join(node.directory, `endpoints/${id}.json`);

/** A new agent on the same node. It counts its own users of identities. */
function restart(): TestAgent {
  for (const [id, count] of Object.entries(node.identities.held())) {
    for (let n = 0; n < count; n++) node.identities.release(Number(id));
  }
  return createTestAgent(node);
}

/** Restores, with the clock going on while files are read. */
async function restored(agent: TestAgent) {
  let isDone = false;
  const done = agent.restore(policies).finally(() => (isDone = true));
  while (!isDone) await node.clock.advance(200);
  return done;
}

describe('a restart', () => {
  it('writes nothing where nothing has changed, and finds everything again', async () => {
    for (const app of ['server', 'client', 'other']) await before.manager.add(podSpec(app));
    const { revision } = node.datapath;
    const expected = inventory(node, before);
    const agent = restart();
    const { ready, complete } = await restored(agent);
    await complete;
    await agent.prune();
    expect([ready, node.datapath.revision]).toEqual([3, revision]);
    expect(inventory(node, agent)).toEqual(expected);
    expect(agent.table.list().map(({ record }) => record.pod)).toEqual(['server', 'client', 'other']);
  });

  it('needs no allocator, also when nothing else is known of identities', async () => {
    await before.manager.add(podSpec('server'));
    const { identity } = before.table.require(1);
    const agent = restart();
    node.identities.forget();
    node.identities.goAway();
    expect(await restored(agent)).toMatchObject({ ready: 1 });
    expect(agent.table.require(1)).toMatchObject({ state: 'ready', identity });
    expect(node.datapath.policy(1)).toMatchObject({ ingressEnforced: true });
  });

  it('does not take the number of other labels, which another label filter has selected', async () => {
    await before.manager.add(podSpec('server'));
    const { record } = before.table.require(1);
    await before.store.save({ ...record, identity: { id: record.identity?.id ?? 0, labels: 'k8s:app=other;' } });
    const agent = restart();
    node.identities.forget();
    node.identities.goAway();
    expect(await restored(agent)).toMatchObject({ ready: 0 });
    expect(states(agent)).toEqual([['server', 'restoring']]);
    agent.manager.close();
  });

  it('forgets an endpoint whose interface is gone, and what the kernel has of it', async () => {
    await before.manager.add(podSpec('server'));
    await before.manager.add(podSpec('client'));
    await node.podNetwork.remove('weir1');
    const agent = restart();
    await (
      await restored(agent)
    ).complete;
    await agent.prune();
    expect(inventory(node, agent)).toMatchObject({
      ...{ endpoints: [2], ipv4: 1, attached: [2], inKernel: [2], ipcache: 2, policies: [] },
      files: ['endpoints/2.json'],
    });
  });

  it('takes an interface of the same name but another index for another one', async () => {
    await before.manager.add(podSpec('server'));
    node.podNetwork.devices.set('weir1', 999);
    const agent = restart();
    await restored(agent);
    expect(agent.table.list()).toEqual([]);
  });

  it('completes from every step that an ADD was interrupted at', async () => {
    for (let n = 1; ; n++) {
      const fresh = createTestNode();
      const dying = createTestAgent(fresh);
      // From the n-th call on nothing works any more: the agent is dead.
      fresh.faults.failFrom(n);
      const added = await dying.manager.add(podSpec('server')).catch(() => undefined);
      const calls = fresh.faults.calls.length;
      fresh.faults.heal();
      for (const [id, count] of Object.entries(fresh.identities.held())) {
        for (let k = 0; k < count; k++) fresh.identities.release(Number(id));
      }
      const agent = createTestAgent(fresh);
      await (
        await agent.restore(policies)
      ).complete;
      await agent.prune();
      const [endpoint] = agent.table.list();
      if (endpoint !== undefined) {
        expect({ n, state: endpoint.state }).toEqual({ n, state: 'ready' });
        expect(fresh.podNetwork.opened.size).toBe(1);
        expect(fresh.datapath.policy(1)).toMatchObject({ ingressEnforced: true });
      }
      await agent.manager.remove(podSpec('server'));
      expect({ n, ...inventory(fresh, agent) }).toMatchObject({
        ...{ n, endpoints: [], ipv4: 0, ipv6: 0, identities: {}, devices: [], attached: [], inKernel: [] },
        ...{ ipcache: 0, policies: [], files: [] },
      });
      fresh.remove();
      if (added !== undefined) break;
      expect(calls).toBeGreaterThan(0);
    }
  });

  it('keeps an address that is not of the pod range any more, and lets it go later', async () => {
    await before.manager.add(podSpec('server'));
    const record = { ...before.table.require(1).record, ipv4: '192.168.7.7' };
    await before.store.save(record);
    const agent = restart();
    await (
      await restored(agent)
    ).complete;
    expect(states(agent)).toEqual([['server', 'ready']]);
    await agent.manager.remove(record);
    expect(agent.table.list()).toEqual([]);
  });

  it('rejects when the policies are not accepted: without them everything would be open', async () => {
    await expect(
      restart().placement.enter([], { upsertIdentities: [{ id: -1, labels: { key: '', labels: [] } as never }] }),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('a file that cannot be read', () => {
  it('leaves its pod as the kernel has it, and its number and addresses to nobody else', async () => {
    await before.manager.add(podSpec('server'));
    const policy = node.datapath.policy(1);
    writeFileSync(fileOf(1), 'x');
    const agent = restart();
    await (
      await restored(agent)
    ).complete;
    await agent.prune();
    const { record } = await agent.manager.add(podSpec('new'));
    expect(record.id).toBe(2);
    expect(record.ipv4).not.toBe('10.0.0.2');
    expect(inventory(node, agent)).toMatchObject({ endpoints: [2], attached: [1, 2], inKernel: [1, 2], ipcache: 4 });
    expect([...node.podNetwork.devices.keys()]).toEqual(['weir1', 'weir2']);
    expect(node.datapath.policy(1)).toEqual(policy);
    expect(node.datapath.listEndpoints().map(({ policySlot }) => policySlot)).toEqual([1, 2]);
  });

  it('that has the address of another one leaves both pods connected', async () => {
    await before.manager.add(podSpec('server'));
    await before.manager.add(podSpec('client'));
    await before.store.save({ ...before.table.require(2).record, ipv4: '10.0.0.2' });
    const agent = restart();
    await (
      await restored(agent)
    ).complete;
    await agent.prune();
    expect(states(agent)).toEqual([['server', 'ready']]);
    expect([...node.datapath.attached.keys()]).toEqual([1, 2]);
    expect(agent.pools.ipv6.allocatedCount).toBe(2);
    expect(() => agent.pools.ipv6.claim(parseIpAddress('fd00::3'))).toThrow('in use already');
  });
});

describe('an endpoint whose identity is not known', () => {
  let agent: TestAgent;
  let complete: Promise<void>;
  beforeEach(async () => {
    await before.manager.add(podSpec('server'));
    // The file is from an agent that did not write it down, and the allocator has lost its store: nobody knows the labels.
    const { identity, ...record } = before.table.require(1).record;
    expect(identity?.id).toBe(256);
    await before.store.save(record);
    const { datapath, podNetwork, directory, clock, faults } = node;
    const identities = createTestNode().identities;
    identities.goAway();
    node = { ...node, datapath, podNetwork, directory, clock, faults, identities };
    agent = createTestAgent(node);
    ({ complete } = await restored(agent));
  });

  it('is restoring, under its old policy, until it is', async () => {
    expect(states(agent)).toEqual([['server', 'restoring']]);
    expect(node.datapath.policy(1)).toMatchObject({ ingressEnforced: true });
    node.identities.comeBack();
    await complete;
    expect(states(agent)).toEqual([['server', 'ready']]);
    expect(node.identities.held()).toEqual({ 256: 1 });
  });

  it('does not keep others waiting', async () => {
    const policy = { upsertPolicies: [policyFor('other', { from: 'server' })] };
    await agent.controller.commit({ policy });
    expect(agent.engine.policies()).toHaveLength(2);
  });

  it('refuses ADD for now', async () => {
    await expect(agent.manager.add(podSpec('server'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('endpoint 1, which is restoring: the identity of its labels is not known yet'),
    });
  });

  it('is removed from the kernel as well, and does not come back with its identity', async () => {
    await agent.manager.remove(podSpec('server'));
    await complete;
    node.identities.comeBack();
    await node.clock.advance(60_000);
    await agent.prune();
    expect(inventory(node, agent)).toMatchObject({
      ...{ endpoints: [], ipv4: 0, ipv6: 0, inUse: [], identities: {}, devices: [], attached: [] },
      ...{ inKernel: [], ipcache: 0, policies: [], files: [] },
    });
  });

  it('takes other labels, and keeps them when the identity of the old ones comes', async () => {
    const relabelled = agent.manager.patchLabels(1, { set: { app: 'client' }, remove: [] });
    node.identities.comeBack();
    await relabelled;
    await complete;
    expect(agent.table.get(1)).toMatchObject({
      state: 'ready',
      labels: { key: expect.stringContaining('app=client') },
    });
    expect(Object.values(node.identities.held())).toEqual([1]);
  });

  it('is tried again when it cannot be written, ever more seldom', async () => {
    node.datapath.limit({ endpointsMax: 0 });
    node.identities.comeBack();
    await node.clock.advance(5_000);
    expect(states(agent)).toEqual([['server', 'restoring']]);
    node.datapath.limit({});
    await node.clock.advance(30_000);
    await complete;
    expect(states(agent)).toEqual([['server', 'ready']]);
    expect(node.identities.held()).toEqual({ 256: 1 });
  });

  it('is invalid when its device cannot be opened, and can be removed then', async () => {
    node.podNetwork.devices.clear();
    node.identities.comeBack();
    await complete;
    expect(agent.table.get(1)).toMatchObject({ state: 'invalid', reason: 'No such device' });
    await agent.manager.remove(podSpec('server'));
    expect(agent.table.list()).toEqual([]);
  });

  it('lets the agent stop', async () => {
    agent.manager.close();
    await complete;
    expect(node.identities.waitingCount).toBe(0);
  });
});
