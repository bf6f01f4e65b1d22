// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatCidr, type Service, serviceKey } from '@weir/model';
import { createTestAgent, createTestNode, podSpec, type TestAgent, type TestNode } from '../testing/test-agent.ts';
import { createPolicyService, type PolicyOutcome } from './policy-service.ts';
import { createPolicyStore } from './policy-store.ts';

let node: TestNode;
let agent: TestAgent;
beforeEach(async () => {
  node = createTestNode();
  agent = createTestAgent(node);
  await agent.manager.add(podSpec('web'));
  await agent.manager.add(podSpec('db'));
});
afterEach(() => node.remove());

const first = 2 ** 24 + 1;

const policies = (): ReturnType<typeof createPolicyService> => {
  const { engine, controller, prefixes } = agent;
  return createPolicyService({
    engine,
    controller,
    prefixes,
    store: createPolicyStore(join(node.directory, 'p.json')),
  });
};
const apply = async (toServices: readonly object[], name = 'p'): Promise<PolicyOutcome> => {
  const content = JSON.stringify({
    ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name } },
    spec: { endpointSelector: { matchLabels: { app: 'web' } }, egress: [{ toServices }] },
  });
  const outcome = await policies().import([{ name: 'p.json', content }], { validateOnly: false });
  expect(outcome.problems).toEqual([]);
  return outcome;
};

const service = (name: string, more: Partial<Service> = {}, addresses: readonly string[] = []): Service => ({
  ...{ namespace: 'default', name, owner: 'api', frontends: [], affinityTimeoutS: 0 },
  backends: addresses.map((address) => ({
    ...{ address, port: 80, portName: '', weight: 1, state: 'active', node: '', zone: '' },
  })),
  ...more,
});
const put = async (...given: readonly Service[]): Promise<void> => {
  for (const each of given) node.services.set(serviceKey(each), each);
  await agent.servicePeers.follow(given.map((each) => ({ kind: 'upserted', service: each })));
};
const drop = async (name: string): Promise<void> => {
  node.services.delete(`default/${name}`);
  await agent.servicePeers.follow([{ kind: 'deleted', key: `default/${name}` }]);
};

/** Prefixes in the kernel with their identities, and whom the policy of web allows. */
const prefixes = (): Readonly<Record<string, number>> =>
  Object.fromEntries(
    node.datapath
      .ipcache()
      .filter(({ identity }) => identity >= first)
      .map(({ address, length, identity }) => [formatCidr({ address, prefixLength: length }), identity]),
  );
const identityOf = (pod: string): number => agent.table.list().find(({ record }) => record.pod === pod)!.identity!;
const allowed = (): number[] =>
  node.datapath
    .listPolicy(agent.slots.find(identityOf('web')) ?? 0)
    .map(({ peerIdentity }) => peerIdentity)
    .sort();

const byName = [{ k8sService: { serviceName: 'store' } }];

describe('a policy that names a service', () => {
  it('is about the pods of its selector, whether service or policy came first', async () => {
    await put(service('store', { selector: { app: 'db' } }, ['192.0.2.1']));
    await apply(byName);
    expect(allowed()).toEqual([identityOf('db')]);
    expect(prefixes()).toEqual({});
    await put(service('store', { selector: { app: 'web' } }));
    expect(allowed()).toEqual([identityOf('web')]);
    await drop('store');
    expect(allowed()).toEqual([]);
    await put(service('store', { selector: { app: 'db' } }));
    expect(allowed()).toEqual([identityOf('db')]);
  });

  it('is about the addresses of its backends where it has no selector, as they come and go', async () => {
    await apply(byName);
    await put(service('store', {}, ['192.0.2.1', '2001:db8::1', '192.0.2.1']));
    const before = prefixes();
    expect(Object.keys(before)).toEqual(['192.0.2.1/32', '2001:db8::1/128']);
    expect(allowed()).toEqual(Object.values(before));
    await put(service('store', {}, ['192.0.2.1', '192.0.2.2']));
    expect(prefixes()).toEqual({ '192.0.2.1/32': before['192.0.2.1/32'], '192.0.2.2/32': expect.any(Number) });
    expect(allowed()).toEqual(Object.values(prefixes()));
    await drop('store');
    expect([allowed(), prefixes()]).toEqual([[], {}]);
  });

  it('is about services by their labels, in a namespace or in any', async () => {
    const ofProd = (namespace?: string): object => ({
      k8sServiceSelector: { selector: { matchLabels: { env: 'prod' } }, ...(namespace && { namespace }) },
    });
    const labels = { env: 'prod' };
    await put(service('one', { labels }, ['192.0.2.1']), service('two', {}, ['192.0.2.2']));
    await put(service('three', { labels, namespace: 'shop' }, ['192.0.2.3']));
    await apply([ofProd()]);
    expect(Object.keys(prefixes())).toEqual(['192.0.2.1/32', '192.0.2.3/32']);
    await apply([ofProd('shop')]);
    expect(Object.keys(prefixes())).toEqual(['192.0.2.3/32']);
    await put(service('three', { namespace: 'shop' }, ['192.0.2.3']));
    expect([allowed(), prefixes()]).toEqual([[], {}]);
  });

  it('leaves nothing behind when it goes, and what another one names stays', async () => {
    await put(service('store', {}, ['192.0.2.1']));
    await apply(byName, 'p');
    await apply(byName, 'q');
    const before = prefixes();
    await policies().delete({ names: ['p'], files: [], all: false });
    expect([allowed(), prefixes()]).toEqual([Object.values(before), before]);
    await policies().delete({ names: ['q'], files: [], all: false });
    expect(prefixes()).toEqual({});
    await put(service('store', {}, ['192.0.2.9']));
    expect(prefixes()).toEqual({});
  });

  it('follows a service that the kernel had no room for when it has', async () => {
    await apply(byName);
    node.datapath.limit({ policyEntriesMax: 0 });
    await put(service('store', {}, ['192.0.2.1']));
    await put(service('store', {}, ['192.0.2.2']));
    expect(allowed()).toEqual([]);
    node.datapath.limit({ policyEntriesMax: 100 });
    for (let turn = 0; turn < 4; turn++) await node.clock.advance(1_000);
    expect(Object.keys(prefixes())).toEqual(['192.0.2.2/32']);
    expect(allowed()).toEqual(Object.values(prefixes()));
  });

  it('finds its services again after a restart, with the numbers that they had', async () => {
    await put(service('store', {}, ['192.0.2.1']));
    await apply(byName);
    const before = [allowed(), prefixes()];
    const stored = await createPolicyStore(join(node.directory, 'p.json')).load();
    agent = createTestAgent(node);
    agent.prefixIdentities.adopt(
      node.datapath.ipcache().map(({ address, length, identity }) => {
        return { range: { address, prefixLength: length }, identity };
      }),
    );
    await agent.restore(stored);
    await agent.prefixes.prune();
    await agent.prune();
    expect([allowed(), prefixes()]).toEqual(before);
  });
});

describe('a service that no policy names', () => {
  it('changes nothing in the engine and in the kernel', async () => {
    const revision = agent.engine.revision;
    await put(service('other', {}, ['192.0.2.1']));
    await apply(byName);
    await put(service('other', {}, ['192.0.2.2']));
    await drop('other');
    expect([prefixes(), allowed()]).toEqual([{}, []]);
    expect(agent.engine.revision).toBe(revision + 1);
  });
});
