// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatLabelSet, parseCidr } from '@weir/model';
import { parsePolicyFiles, type Policy } from '@weir/policy';
import { createTestAgent, createTestNode, type TestAgent, type TestNode } from '../testing/test-agent.ts';
import { describeHost, hostSubject, includeHost } from './host-policy.ts';
import { describeHostPolicy, warnOfHostPolicy } from './host-status.ts';

const host = describeHost({ nodeName: 'node1', labels: ['pool=db'] });

function nodePolicy(spec: object): Policy {
  const document = {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name: 'nodes' },
    spec: { nodeSelector: { matchLabels: { pool: 'db' } }, ...spec },
  };
  const { policies, problems } = parsePolicyFiles([{ name: 'nodes.json', content: JSON.stringify(document) }]);
  const [policy] = policies;
  if (policy === undefined) throw new TypeError(JSON.stringify(problems));
  return policy;
}

const ssh = { toPorts: [{ ports: [{ port: '22', protocol: 'TCP' }] }] };

let node: TestNode;
let agent: TestAgent;
beforeEach(() => {
  node = createTestNode();
  agent = createTestAgent(node);
});
afterEach(() => node.remove());

const start = ({ slots, controller, prefixes }: TestAgent, upsertPolicies: readonly Policy[] = [], isAudited = false) =>
  controller.commit(includeHost(prefixes.include({ upsertPolicies }), { host, slots, isAudited }));

describe('describeHost()', () => {
  it('is the host with the labels of its node', () => {
    expect(formatLabelSet(host.labels)).toEqual(['k8s:kubernetes.io/hostname=node1', 'k8s:pool=db', 'reserved:host']);
  });
});

describe('the host', () => {
  it('is under the policies for its labels, and the kernel is told where its policy is', async () => {
    await start(agent, [nodePolicy({ ingress: [ssh] })], true);
    const slot = agent.slots.find(hostSubject) ?? 0;
    expect(node.datapath.host).toEqual({ policySlot: slot, isAudited: true });
    expect(node.datapath.policy(slot)).toMatchObject({ ingressEnforced: true, entries: [{ port: 22 }] });
    expect(node.datapath.hostPolicySlot()).toBe(slot);
  });

  it('is under none that does not select it, nor under those of endpoints', async () => {
    await start(agent, [nodePolicy({ nodeSelector: { matchLabels: { pool: 'web' } }, ingress: [ssh] })]);
    expect(node.datapath.hostPolicySlot()).toBeUndefined();
  });

  it('keeps its policy through a restart, with nothing written, and when the rest is cleared away', async () => {
    const policies = [nodePolicy({ ingress: [ssh] })];
    await start(agent, policies);
    const { revision } = node.datapath;
    const next = createTestAgent(node);
    await start(next, policies);
    await next.prune();
    expect(node.datapath.revision).toBe(revision);
    expect(node.datapath.hostPolicySlot()).toBe(next.slots.find(hostSubject));
  });
});

describe('describeHostPolicy()', () => {
  const allocator = '192.0.2.9:7000';
  const stateWith = async (spec: object | undefined, address = allocator) => {
    await start(agent, spec === undefined ? [] : [nodePolicy(spec)]);
    return describeHostPolicy({ engine: agent.engine, ipcache: agent.ipcache, allocator: address });
  };

  it('names what holds the node', async () => {
    expect(await stateWith(undefined)).toEqual({ state: 'Ok', message: 'no policy holds this node' });
    expect(await stateWith({ ingress: [ssh] })).toEqual({ state: 'Ok', message: 'ingress of this node by nodes' });
  });

  it('says when what policy denies is only reported', async () => {
    await start(agent, [nodePolicy({ ingress: [ssh] })]);
    const { engine, ipcache } = agent;
    const { message } = describeHostPolicy({ engine, ipcache, allocator, isAudited: true });
    expect(message).toBe('ingress of this node by nodes, audited');
  });

  it.each([
    { title: 'does not allow it', egress: [ssh], state: 'Warning' },
    { title: 'allows it', egress: [{ toCIDR: ['192.0.2.0/24'] }], state: 'Ok' },
    { title: 'allows another port', egress: [{ toCIDR: ['192.0.2.0/24'], ...ssh }], state: 'Warning' },
  ])('says when policy cuts the agent from its allocator, which $title', async ({ egress, state }) => {
    const status = await stateWith({ egress });
    expect(status.state).toBe(state);
    if (state === 'Warning') expect(status.message).toContain(`to call the allocator ${allocator}`);
    const warnings: unknown[] = [];
    const options = { engine: agent.engine, ipcache: agent.ipcache, allocator };
    warnOfHostPolicy(options, { warn: (fields: object) => void warnings.push(fields) })();
    expect(warnings).toHaveLength(state === 'Warning' ? 1 : 0);
  });

  it('has nothing to say of a socket of this machine, nor of a name', async () => {
    for (const address of ['unix:/run/weir/identity.sock', '127.0.0.1:7000', 'allocator:7000']) {
      expect(await stateWith({ egress: [ssh] }, address)).toMatchObject({ state: 'Ok' });
    }
  });

  it('takes the allocator for whom its address belongs to', async () => {
    agent.ipcache.change({ upsert: [{ range: parseCidr(allocator.replace(/:.*/, '/32')), identity: 6 }] });
    expect(await stateWith({ egress: [{ toEntities: ['remote-node'] }] })).toMatchObject({ state: 'Ok' });
    expect(await stateWith({ egress: [{ toEntities: ['world'] }] })).toMatchObject({ state: 'Warning' });
  });
});
