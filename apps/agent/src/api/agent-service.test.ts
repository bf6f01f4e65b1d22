// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AgentServiceDefinition } from '@weir/proto';
import { createRpcClient, createRpcServer, type RpcClient, type RpcServer } from '@weir/rpc';
import { describeHost, includeHost } from '../host/host-policy.ts';
import { traceDetail } from '@weir/datapath-layout';
import { defaultFeatures } from '@weir/policy';
import { version } from '../options.ts';
import { createMonitor } from '../monitor/monitor.ts';
import { createPeers } from '../monitor/peers.ts';
import { createPolicyService } from '../policy/policy-service.ts';
import { createPolicyStore } from '../policy/policy-store.ts';
import {
  createTestAgent,
  createTestNode,
  podSpec,
  policyFor,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';
import { createAgentService } from './agent-service.ts';

let node: TestNode;
let agent: TestAgent;
let server: RpcServer;
let client: RpcClient<typeof AgentServiceDefinition>;
beforeEach(async () => {
  node = createTestNode();
  agent = createTestAgent(node);
  const { engine, controller, prefixes, translation } = agent;
  const labelled = {
    ...node.identities,
    all: () => [[256, agent.table.require(1).labels] as const],
    waitingReason: () => 'The store is away',
  };
  const peers = createPeers({ endpointOf: () => undefined, remotePodOf: () => undefined, labelsOf: () => [] });
  const forMonitor = { engine, cookies: translation.cookies, ruleSets: translation.ruleSets, node: 'n1' };
  const service = createAgentService({
    ...agent,
    ...{ nodeName: 'n1', cluster: { client: clusterOf() }, routes: { reaches } },
    nodeIdentities: { numberOf: ({ labels }) => (labels === undefined ? 6 : 2 ** 25) },
    ...{ datapath: node.datapath, identities: labelled, status: () => ({ node: 'n1' }) },
    monitor: createMonitor({ datapath: node.datapath, peers, ...forMonitor }),
    policies: createPolicyService({
      engine,
      controller,
      prefixes,
      store: createPolicyStore(join(node.directory, 'p.json')),
    }),
  });
  const address = `unix:${node.directory}/a.sock`;
  server = createRpcServer({ services: [service], listen: [address] });
  await server.start();
  client = createRpcClient(AgentServiceDefinition, { address });
  await agent.manager.add(podSpec('web'));
});
afterEach(async () => {
  client.close();
  await server.stop({ deadlineMs: 0 });
  node.remove();
});

const reaches = new Map([
  ['10.2.0.0/24', { kind: 'direct', via: '192.0.2.2' } as const],
  ['fd02::/64', { kind: 'network', reason: 'no link leads there' } as const],
]);
const clusterPod = (identity: number) => ({ identity, namespace: 'default', pod: 'web' });
const clusterOf = () => ({
  nodes: new Map(
    [
      { name: 'n2', addresses: ['192.0.2.2'], podRanges: ['10.2.0.0/24', 'fd02::/64'] },
      { name: 'n1', addresses: ['192.0.2.1'], podRanges: ['10.0.0.0/24'] },
    ].map((each) => [each.name, each]),
  ),
  endpoints: new Map([
    ['10.2.0.7', clusterPod(300)],
    ['fd02::7', clusterPod(300)],
    ['10.0.0.2', clusterPod(256)],
  ]),
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const fileFor = (app: string, from = 'web') => ({ name: app, content: bytes(policyFor(app, { from }).document) });

describe('nodes', () => {
  it('are listed by name, with how their pods are reached', async () => {
    expect((await client.listNodes({})).nodes).toMatchObject([
      { name: 'n1', isSelf: true, endpointAddresses: 1, podRanges: [{ prefix: '10.0.0.0/24', reach: 'local' }] },
      {
        ...{ name: 'n2', isSelf: false, addresses: ['192.0.2.2'], endpointAddresses: 2 },
        podRanges: [
          { prefix: '10.2.0.0/24', reach: 'direct', via: '192.0.2.2' },
          { prefix: 'fd02::/64', reach: 'network', reason: 'no link leads there' },
        ],
      },
    ]);
  });
});

describe('endpoints', () => {
  it('are listed with what the kernel has of them', async () => {
    await client.importPolicy({ files: [fileFor('web')] });
    expect((await client.listEndpoints({})).endpoints).toMatchObject([
      {
        ...{ id: 1, namespace: 'default', pod: 'web', containerId: 'c-web', state: 'ready', identity: 256 },
        ...{ ipv4: '10.0.0.2', ipv6: 'fd00::2', hostInterface: 'weir1', policies: ['default/web'] },
        ...{ ingressEnforced: true, policyRevision: 1, labels: expect.arrayContaining(['k8s:app=web']) },
      },
    ]);
  });

  it('that wait say for what, and why that takes its time', async () => {
    node.identities.goAway();
    const adding = agent.manager.add(podSpec('late'));
    const { endpoint } = await client.getEndpoint({ endpoint: { reference: 'late' } });
    expect(endpoint).toMatchObject({
      state: 'waiting-for-identity',
      reason: 'the identity of its labels is not known yet; The store is away',
    });
    node.identities.comeBack();
    await adding;
  });

  it.each(['1', 'default/web', 'web', 'c-web', '10.0.0.2', 'fd00::2', 'FD00:0::2'])(
    'are found by %s',
    async (reference) => {
      expect((await client.getEndpoint({ endpoint: { reference } })).endpoint?.id).toBe(1);
    },
  );

  it.each([
    ['', 'INVALID_ARGUMENT', 'endpoint.reference is empty'],
    ['9', 'NOT_FOUND', '"9" is not an endpoint of this node'],
    ['other/web', 'NOT_FOUND', '"other/web" is not an endpoint'],
    ['10.0.0.9', 'NOT_FOUND', '"10.0.0.9" is not an endpoint'],
  ])('are not found by "%s"', async (reference, code, message) => {
    await expect(client.getEndpoint({ endpoint: { reference } })).rejects.toMatchObject({
      ...{ code, message: expect.stringContaining(message) },
    });
  });

  it('that a reference does not tell apart are named by number', async () => {
    await agent.manager.add(podSpec('web', { ifName: 'net1' }));
    await expect(client.getEndpoint({ endpoint: { reference: 'web' } })).rejects.toThrow(
      '"web" is several endpoints: 1 (eth0), 2 (net1); name one by its number',
    );
  });

  it('by a number are not mistaken for a pod of that name', async () => {
    await agent.manager.add(podSpec('1'));
    expect((await client.getEndpoint({ endpoint: { reference: '1' } })).endpoint?.pod).toBe('web');
  });

  it('whose policy has no room are regenerating, at the revision that is in force', async () => {
    node.datapath.limit({ policyEntriesMax: 0 });
    const policy = policyFor('web', { from: 'web' });
    await agent.controller.commit({ policy: { upsertPolicies: [policy] } }).catch(() => undefined);
    expect((await client.getEndpoint({ endpoint: { reference: '1' } })).endpoint).toMatchObject({
      ...{ state: 'regenerating', policyRevision: 0, reason: expect.stringContaining('no room') },
    });
  });

  it('get other labels', async () => {
    const request = { endpoint: { reference: 'web' }, set: ['app=db', 'empty'], remove: ['none'] };
    const { endpoint } = await client.patchEndpointLabels(request);
    expect(endpoint).toMatchObject({ identity: 257, labels: expect.arrayContaining(['k8s:app=db', 'k8s:empty']) });
    const refused = client.patchEndpointLabels({ ...request, set: ['io.kubernetes.pod.namespace=x'] });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('features of the policy language', () => {
  it('are told as the agent reads policies by them', async () => {
    const { features, version: told } = await client.getPolicyFeatures({});
    expect(features).toEqual([...defaultFeatures].sort());
    expect(told).toBe(version);
  });
});

describe('audit mode', () => {
  const inKernel = () => node.datapath.listEndpoints().map(({ isAudited = false }) => isAudited);
  const config = (audit: string) => client.patchEndpointConfig({ endpoint: { reference: 'web' }, audit });

  it('of an endpoint is turned on and off, and survives a restart', async () => {
    expect((await config('on')).endpoint).toMatchObject({ audit: true, state: 'ready' });
    expect(inKernel()).toEqual([true]);
    await createTestAgent(node).restore();
    expect(inKernel()).toEqual([true]);
    expect((await config('')).endpoint).toMatchObject({ audit: true });
    expect((await config('off')).endpoint).toMatchObject({ audit: false });
    expect(inKernel()).toEqual([false]);
    await expect(config('maybe')).rejects.toThrow('audit: "maybe" is neither "on" nor "off"');
  });
});

describe('aggregation of flows', () => {
  const inKernel = () => node.datapath.listEndpoints().map(({ traceDetail: detail = traceDetail.default }) => detail);
  const config = (aggregation: string) => client.patchEndpointConfig({ endpoint: { reference: 'web' }, aggregation });

  it('of an endpoint is changed beside audit mode, and survives a restart', async () => {
    expect(inKernel()).toEqual([traceDetail.default]);
    await client.patchEndpointConfig({ endpoint: { reference: 'web' }, audit: 'on' });
    expect((await config('none')).endpoint).toMatchObject({ aggregation: 'none', audit: true, state: 'ready' });
    expect(inKernel()).toEqual([traceDetail.packets]);
    await createTestAgent(node).restore();
    expect(inKernel()).toEqual([traceDetail.packets]);
    expect((await config('')).endpoint).toMatchObject({ aggregation: 'none' });
    for (const [level, detail] of Object.entries({ low: 'flags', medium: 'default', maximum: 'verdicts' } as const)) {
      expect((await config(level)).endpoint).toMatchObject({ aggregation: level });
      expect(inKernel()).toEqual([traceDetail[detail]]);
    }
    await expect(config('all')).rejects.toThrow('aggregation: "all" is not one of none, low, medium, maximum');
  });
});

describe('identities', () => {
  it('are listed with the reserved ones, and found by number', async () => {
    const { identities } = await client.listIdentities({});
    expect(identities[0]).toMatchObject({ id: 1, labels: ['reserved:host'] });
    expect((await client.getIdentity({ id: 256 })).identity).toMatchObject({ id: 256, endpoints: [1] });
    await expect(client.getIdentity({ id: 999 })).rejects.toThrow('There is no identity 999');
  });
});

describe('policies', () => {
  it('are imported, shown and deleted', async () => {
    expect((await client.importPolicy({ files: [fileFor('web')] })).imported).toEqual([
      'CiliumNetworkPolicy/default/web',
    ]);
    for (const name of ['', 'web', 'default/web']) {
      expect((await client.getPolicy({ name })).policies).toMatchObject([{ name: 'web', endpoints: [1], file: 'web' }]);
    }
    await expect(client.getPolicy({ name: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await client.deletePolicy({ names: ['web'] })).deleted).toEqual(['CiliumNetworkPolicy/default/web']);
    expect((await client.getPolicy({})).policies).toEqual([]);
  });

  it('with problems are not, and the answer says where', async () => {
    const answer = await client.importPolicy({
      files: [{ name: 'x.yaml', content: bytes('- endpointSelectr: {}\n') }],
    });
    expect(answer).toMatchObject({ imported: [], revision: 0 });
    expect(answer.problems[0]).toMatchObject({ file: 'x.yaml', line: 1 });
  });
});

describe('policy trace', () => {
  beforeEach(async () => {
    await client.importPolicy({ files: [fileFor('web', 'client')] });
    await agent.manager.add(podSpec('client'));
  });
  const flow = { source: 'default/client', destination: 'default/web', protocol: 6, port: 80 };

  it('says which rule of which file allows a flow', async () => {
    const { verdict, ingress, egress, source } = await client.tracePolicy(flow);
    expect([verdict, source?.identity, egress?.verdict]).toEqual(['allowed', 257, 'not-enforced']);
    expect(ingress).toMatchObject({
      verdict: 'allow',
      decidedBy: [
        { policy: 'CiliumNetworkPolicy/default/web', rule: 0, file: 'web', line: 1, path: expect.any(String) },
      ],
      entries: [{ peerIdentity: 257, ports: 'TCP/80', verdict: 'allow' }],
    });
  });

  it.each(['identity:257', '10.0.0.3', 'fd00::3', 'endpoint:2', 'default/app=client'])(
    'knows an end by %s',
    async (end) => {
      expect((await client.tracePolicy({ ...flow, source: end })).source?.identity).toBe(257);
    },
  );

  it('says what the nearest rule wants of a flow that is dropped', async () => {
    const { verdict, ingress } = await client.tracePolicy({ ...flow, port: 81 });
    expect(verdict).toBe('dropped');
    expect(ingress).toMatchObject({
      ...{ verdict: 'no-match', defaultDenyBy: ['CiliumNetworkPolicy/default/web'] },
      nearest: [{ misses: [{ kind: 'port', wanted: 'TCP/80', found: 'TCP/81' }] }],
    });
    expect((await client.tracePolicy({ ...flow, source: '192.0.2.1' })).ingress?.nearest).toMatchObject([
      { misses: [{ kind: 'peer' }, { kind: 'peer' }] },
    ]);
  });

  it.each([
    [{ source: '' }, 'INVALID_ARGUMENT', 'End of a flow is empty'],
    [{ source: 'default/none' }, 'NOT_FOUND', '"default/none" is not an endpoint of this node'],
    [{ source: 'identity:9999' }, 'NOT_FOUND', 'Nobody is known by the identity 9999'],
    [{ port: 70_000 }, 'INVALID_ARGUMENT', 'port: 70000 is too large; expected 0–65535'],
    [{ request: { method: 'GET' } }, 'INVALID_ARGUMENT', 'request: expected a method and a path'],
  ])('refuses %j', async (change, code, message) => {
    await expect(client.tracePolicy({ ...flow, ...change })).rejects.toMatchObject({
      ...{ code, message: expect.stringContaining(message) },
    });
  });

  it('has the selectors of policies in force with whom they select', async () => {
    expect((await client.listSelectors({})).selectors).toEqual([
      expect.objectContaining({
        selector: 'any:app=client && k8s:io.kubernetes.pod.namespace=default',
        ...{ policies: ['default/web'], endpoints: [1], identities: [257] },
      }),
    ]);
  });
});

describe('the kernel', () => {
  it('shows policy entries with the policies behind them', async () => {
    await client.importPolicy({ files: [fileFor('web')] });
    const entry = {
      ...{ subjectIdentity: 256, direction: 'ingress', peerIdentity: 256, protocol: 6, port: 80, verdict: 'allow' },
      ...{ policies: ['default/web'], peerLabels: expect.arrayContaining(['k8s:app=web']) },
    };
    expect((await client.listPolicyEntries({})).entries).toMatchObject([entry]);
    expect((await client.listPolicyEntries({ endpoint: { reference: '1' } })).entries).toMatchObject([entry]);
    await expect(client.listPolicyEntries({ endpoint: { reference: '5' } })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('shows what rules decided on, by entry and by item of their policy', async () => {
    await client.importPolicy({ files: [fileFor('web')] });
    const [{ cookie } = { cookie: 0 }] = node.datapath.listPolicy(1);
    node.datapath.setRuleTraffic([{ cookie, packets: 3, bytes: 180 }]);
    expect((await client.listPolicyEntries({})).entries).toMatchObject([{ packets: 3, bytes: 180 }]);
    const { policies } = await client.getPolicy({ name: 'web' });
    expect(policies).toMatchObject([
      { traffic: [{ direction: 'ingress', path: 'spec.ingress[0].toPorts[0]', packets: 3, bytes: 180 }] },
    ]);
  });

  it('get of an endpoint has every item of its rules, with what of it is in the kernel', async () => {
    const rule = (path: string, more: object = {}) => ({ policy: 'default/web', direction: 'ingress', path, ...more });
    await agent.manager.add(podSpec('db'));
    const file = { name: 'web', content: bytes(policyFor('web', { from: 'db', ports: [80, 443] }).document) };
    await client.importPolicy({ files: [file, fileFor('db', 'nobody'), fileFor('elsewhere')] });
    const slot = agent.slots.find(256) ?? 0;
    const cookie = node.datapath.listPolicy(slot).find(({ port }) => port === 443)?.cookie ?? 0;
    node.datapath.setRuleTraffic([{ cookie, packets: 3, bytes: 180 }]);
    expect((await client.getEndpoint({ endpoint: { reference: 'default/web' } })).rules).toMatchObject([
      rule('spec.ingress[0].toPorts[0]', { verdict: 'allow', entries: 1, packets: 0 }),
      rule('spec.ingress[0].toPorts[1]', { verdict: 'allow', entries: 1, packets: 3, bytes: 180 }),
    ]);
    // Nobody is "nobody": the rule is there, and nothing of it in the kernel.
    expect((await client.getEndpoint({ endpoint: { reference: 'default/db' } })).rules).toMatchObject([
      { policy: 'default/db', verdict: 'allow', entries: 0, packets: 0 },
    ]);
  });

  it('says of a policy for nodes that it is for this one', async () => {
    const { slots, controller, prefixes } = agent;
    const host = describeHost({ nodeName: 'n1', labels: [] });
    await controller.commit(includeHost(prefixes.include({}), { host, slots, isAudited: false }));
    const document = (hostname: string): string =>
      JSON.stringify({
        ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumClusterwideNetworkPolicy', metadata: { name: hostname } },
        spec: { nodeSelector: { matchLabels: { 'kubernetes.io/hostname': hostname } }, ingress: [{}] },
      });
    await client.importPolicy({ files: ['n1', 'n2'].map((name) => ({ name, content: bytes(document(name)) })) });
    const selects = async (name: string) => (await client.getPolicy({ name })).policies[0]?.selectsNode;
    expect([await selects('n1'), await selects('n2')]).toEqual([true, false]);
    expect((await client.getEndpoint({ endpoint: { reference: '1' } })).rules).toEqual([]);
  });

  it('shows endpoints, addresses, flows and counts', async () => {
    node.datapath.setTraffic([{ reason: 133, direction: 1, packets: 2, bytes: 3 }]);
    expect((await client.listDatapathEndpoints({})).endpoints).toMatchObject([
      { endpointId: 1, identity: 256, mac: '02:00:00:00:00:01', ipv4: '10.0.0.2' },
    ]);
    expect((await client.listIpcache({})).entries.map(({ prefix }) => prefix)).toEqual(['10.0.0.2/32', 'fd00::2/128']);
    expect((await client.listDatapathMetrics({})).metrics).toMatchObject([{ reason: 'Policy denied', packets: 2 }]);
    for await (const { connections } of client.listConnections({})) expect(connections).toEqual([]);
  });
});

describe('monitor', () => {
  it('refuses types and endpoints that do not exist', async () => {
    const first = async (request: object) => {
      for await (const event of client.monitor(request)) return event;
    };
    await expect(first({ types: ['drops'] })).rejects.toThrow(
      'types: "drops" is not one of drop, policy-verdict, trace, l7',
    );
    await expect(first({ relatedTo: [{ reference: 'nobody' }] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
