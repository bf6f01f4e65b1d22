// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatCidr, parseCidr, parseIpAddress, reservedIdentity } from '@weir/model';
import { createTestAgent, createTestNode, podSpec, type TestAgent, type TestNode } from '../testing/test-agent.ts';
import { createPolicyService } from './policy-service.ts';
import { createPolicyStore } from './policy-store.ts';

let node: TestNode;
let agent: TestAgent;
beforeEach(async () => {
  node = createTestNode();
  agent = createTestAgent(node);
  await agent.manager.add(podSpec('web'));
});
afterEach(() => node.remove());

const first = 2 ** 24 + 1;

const fileFor = (name: string, spec: object) => ({
  name: `${name}.json`,
  content: JSON.stringify({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name },
    spec: { endpointSelector: {}, ...spec },
  }),
});
const serviceOf = ({ engine, controller, prefixes }: TestAgent) =>
  createPolicyService({ engine, controller, prefixes, store: createPolicyStore(join(node.directory, 'p.json')) });
const apply = async (name: string, spec: object, on = agent) => {
  const { problems } = await serviceOf(on).import([fileFor(name, spec)], { validateOnly: false });
  expect(problems).toEqual([]);
};
const remove = (...names: string[]) => serviceOf(agent).delete({ names, files: [], all: false });
const toCidr = (...prefixes: string[]) => ({ egress: [{ toCIDR: prefixes }] });

/** Identities of prefixes in the kernel, by prefix. */
const inKernel = () =>
  Object.fromEntries(
    node.datapath
      .ipcache()
      .filter(({ identity }) => identity >= first)
      .map(({ address, length, identity }) => [formatCidr({ address, prefixLength: length }), identity]),
  );
const peersOf = (pod: string) => {
  const identity = agent.table.list().find(({ record }) => record.pod === pod)?.identity ?? 0;
  const entries = node.datapath.listPolicy(agent.slots.find(identity) ?? 0);
  return new Set(entries.map(({ peerIdentity }) => peerIdentity));
};

describe('prefixes that policies name', () => {
  it('have numbers of their own in the kernel, and the policy knows them', async () => {
    await apply('a', toCidr('10.1.0.0/16', 'fd00:1::/32'));
    expect(inKernel()).toEqual({ '10.1.0.0/16': first, 'fd00:1::/32': first + 1 });
    expect(peersOf('web')).toEqual(new Set([first, first + 1]));
    expect(agent.prefixIdentities.labelsOf(first)?.key).toContain('cidr:10.1.0.0/16');
  });

  it('have one for an exception, too, which the policy is not about', async () => {
    await apply('a', { egress: [{ toCIDRSet: [{ cidr: '10.1.0.0/16', except: ['10.1.2.0/24'] }] }] });
    const { '10.1.0.0/16': wide, '10.1.2.0/24': hole } = inKernel();
    expect(peersOf('web')).toEqual(new Set([wide]));
    expect(hole).toBeDefined();
  });

  it('are of the world: a policy about that is about them', async () => {
    await apply('a', { egress: [{ toEntities: ['world'] }] });
    await apply('b', toCidr('10.1.0.0/16'));
    await remove('b');
    expect(peersOf('web')).toEqual(new Set([2, 9, 10]));
    await apply('b', { ...toCidr('10.1.0.0/16'), endpointSelector: { matchLabels: { app: 'nobody' } } });
    expect(peersOf('web')).toContain(inKernel()['10.1.0.0/16']);
  });

  it('stay as long as one policy names them, under the same number', async () => {
    await apply('a', toCidr('10.1.0.0/16', '10.2.0.0/16'));
    await apply('b', toCidr('10.1.0.0/16'));
    const before = inKernel();
    await remove('a');
    expect(inKernel()).toEqual({ '10.1.0.0/16': before['10.1.0.0/16'] });
    await apply('b', toCidr('10.1.0.0/16', '10.3.0.0/16'));
    expect(inKernel()).toMatchObject({ '10.1.0.0/16': before['10.1.0.0/16'] });
    await remove('b');
    expect(inKernel()).toEqual({});
    expect([...agent.prefixIdentities.all()]).toEqual([]);
  });

  it('get a number that rests when theirs was given up', async () => {
    await apply('a', toCidr('10.1.0.0/16'));
    await remove('a');
    await apply('a', toCidr('10.2.0.0/16'));
    expect(inKernel()).toEqual({ '10.2.0.0/16': first + 1 });
  });

  it('keep their numbers over a restart, and go when no policy names them any more', async () => {
    await apply('a', toCidr('10.1.0.0/16'));
    await apply('b', toCidr('10.2.0.0/16'));
    const before = inKernel();
    const policies = agent.engine.policies().filter(({ name }) => name === 'b');
    agent = createTestAgent(node);
    agent.prefixIdentities.adopt(
      Object.entries(before).map(([prefix, identity]) => ({ range: parseCidr(prefix), identity })),
    );
    await agent.restore(policies);
    await agent.prefixes.prune();
    expect(inKernel()).toEqual({ '10.2.0.0/16': before['10.2.0.0/16'] });
  });

  it('leave everything as it was when there is no room for them', async () => {
    await apply('a', toCidr('10.1.0.0/16'));
    const before = inKernel();
    node.datapath.limit({ ipcacheEntriesMax: node.datapath.ipcache().length });
    await expect(apply('b', toCidr('10.2.0.0/16'))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(inKernel()).toEqual(before);
    expect(agent.controller.behind.size).toBe(0);
    node.datapath.limit({});
    await apply('b', toCidr('10.2.0.0/16'));
    expect(Object.keys(inKernel())).toHaveLength(2);
  });

  it('give way to whom an address is known to belong to', async () => {
    const { ipv4 } = agent.table.list()[0]!.record;
    const host = { range: parseCidr('192.0.2.1/32'), identity: reservedIdentity.host };
    const identityOf = (address: string) =>
      node.datapath.ipcache().find((each) => Buffer.compare(each.address, parseIpAddress(address)) === 0)?.identity;
    await agent.controller.commit({ datapath: () => agent.ipcache.change({ upsert: [host] }) });
    await apply('a', toCidr(`${ipv4}/32`, '192.0.2.1/32', '192.0.2.2'));
    expect([ipv4, '192.0.2.1'].map(identityOf)).toEqual([256, reservedIdentity.host]);
    expect(identityOf('192.0.2.2')).toBeGreaterThanOrEqual(first);
    await agent.controller.commit({ datapath: () => agent.ipcache.change({ remove: [host.range] }) });
    expect(identityOf('192.0.2.1')).toBeGreaterThanOrEqual(first);
    await remove('a');
    expect([ipv4, '192.0.2.1', '192.0.2.2'].map(identityOf)).toEqual([256, undefined, undefined]);
  });
});
