// SPDX-License-Identifier: Apache-2.0
// Flows as hubble and its user interface ask for them: over the agent's own socket, from real packets and real calls.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compileFilters, type Flow, messageToJson, monitorTypes } from '@weir/flow';
import {
  flow,
  HealthDefinition,
  hubbleDescriptors,
  type observer,
  ObserverDefinition,
  PeerDefinition,
} from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { authority, curl, httpServer } from './testing/http.ts';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { serviceApi } from './testing/service-api.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';
import { weirJson } from './testing/weir.ts';

type Request = observer.GetFlowsRequest.$Properties;
type Filter = flow.FlowFilter.$Properties;

const { Verdict, DropReason, TrafficDirection } = flow;
const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const port = 8080;
const timeout = { deadlineMs: 15_000 };

let server: PlayedPod, client: PlayedPod, stranger: PlayedPod;
const test = useLab(
  'flows',
  async ({ pod }) => {
    [server, client, stranger] = await Promise.all([
      pod('server', { labels: isServer, ...httpServer(port) }),
      pod('client', { labels: isClient }),
      pod('stranger', { labels: { app: 'stranger' } }),
    ]);
  },
  { agentArguments: ['--node-labels', 'zone=here'] },
);

let address: string;
let flows: RpcClient<typeof ObserverDefinition>;
beforeAll(() => {
  address = `unix:${test.lab.paths.node('node1').runDirectory}/hubble.sock`;
  flows = createRpcClient(ObserverDefinition, { address });
});
afterAll(() => flows.close());

/** The first flow since a time that fits; waits for it. */
async function find(sinceMs: number, filter: Filter): Promise<Flow> {
  const since = { seconds: Math.floor(sinceMs / 1_000), nanos: (sinceMs % 1_000) * 1e6 };
  for await (const { flow: found } of flows.getFlows({ since, follow: true, whitelist: [filter] }, timeout)) {
    if (found) return found;
  }
  throw new Error('the stream has ended');
}
async function list(request: Request): Promise<Flow[]> {
  const found: Flow[] = [];
  for await (const response of flows.getFlows(request, timeout)) if (response.flow) found.push(response.flow);
  return found;
}
// The clock of the kernel and that of the process differ by a little.
const now = (): number => Date.now() - 5;

describe.each(families)('over %s', (family) => {
  const url = (path: string): string => `http://${authority(server[family], port)}${path}`;

  it('tell of what was allowed: who, to whom, by which policy', async () => {
    await test.apply(policy('let-in', isServer, { ingress: [{ ...fromPods(isClient), ...onPort(port) }] }));
    const since = now();
    await curl(test.lab, 'client', url('/'));
    const verdict = await find(since, { sourcePod: ['client'], destinationPod: ['server'], eventType: [{ type: 5 }] });
    expect(verdict).toMatchObject({
      ...{ verdict: Verdict.FORWARDED, nodeName: 'node1', trafficDirection: TrafficDirection.INGRESS },
      ...{ isReply: { value: false }, Summary: 'TCP Flags: SYN', emitter: { name: 'Weir' } },
      IP: { source: client[family], destination: server[family], ipVersion: family === 'ipv4' ? 1 : 2 },
      l4: { TCP: { destinationPort: port, flags: { SYN: true, ACK: false } } },
      source: { namespace: 'default', podName: 'client', labels: expect.arrayContaining(['k8s:app=client']) },
      destination: { namespace: 'default', podName: 'server', clusterName: 'default' },
      ingressAllowedBy: [{ name: 'let-in', namespace: 'default', kind: 'CiliumNetworkPolicy' }],
      interface: { name: expect.stringMatching(/^weir/) },
      // The rule names the sender and a port; the socket is curl's, in the cgroup that it was started in.
      ...{ policyMatchType: 2, socketCookie: expect.any(Number), cgroupId: expect.any(Number) },
      ethernet: { source: expect.stringMatching(/^..(:..){5}$/), destination: 'ee:ee:ee:ee:ee:ee' },
      nodeLabels: ['zone=here'],
    });
    expect([verdict.socketCookie, verdict.cgroupId].every(Boolean)).toBe(true);
    const end = await find(since, { sourcePod: ['client', 'server'], eventType: [{ type: 4 }] });
    expect(end).toMatchObject({ verdict: Verdict.FORWARDED, isReply: expect.anything(), traceObservationPoint: 101 });
  });

  it('tell of what was dropped, why, and which policy is behind that', async () => {
    await test.apply(policy('let-in', isServer, { ingress: [{ ...fromPods(isClient), ...onPort(port) }] }));
    const since = now();
    await expect(stranger.connect({ address: server[family], port }, 300)).rejects.toThrow();
    const drop = await find(since, { sourcePod: ['stranger'], verdict: [Verdict.DROPPED] });
    expect(drop).toMatchObject({
      ...{ dropReasonDesc: DropReason.POLICY_DENIED, dropReason: 133, eventType: { type: 1, subType: 133 } },
      ...{ isReply: null, trafficDirection: TrafficDirection.INGRESS, source: { podName: 'stranger' } },
      ingressDeniedBy: [{ name: 'let-in', namespace: 'default', kind: 'CiliumNetworkPolicy' }],
    });
  });

  it('tell of calls: the request, its answer, how long it took, and what refused it', async () => {
    await test.apply(
      policy('calls', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(port, { path: '/yes' }) }] }),
    );
    const since = now();
    await curl(test.lab, 'client', url('/yes'));
    await curl(test.lab, 'client', url('/no'));
    const request = await find(since, { sourcePod: ['client'], httpPath: ['^/yes$'] });
    const answer = await find(since, { destinationPod: ['client'], httpPath: ['^/yes$'], reply: [true] });
    const refused = await find(since, { httpPath: ['^/no$'], verdict: [Verdict.DROPPED] });
    const http = { method: 'GET', protocol: 'HTTP/1.1', url: url('/yes') };
    expect(request).toMatchObject({
      verdict: Verdict.FORWARDED,
      Summary: `HTTP/1.1 GET ${url('/yes')}`,
      l7: { type: 1, http },
    });
    expect(answer.l7).toMatchObject({ type: 2, latencyNs: expect.any(Number), http: { ...http, code: 200 } });
    expect(answer.l7?.latencyNs).toBeGreaterThan(0);
    expect(refused).toMatchObject({ ingressDeniedBy: [{ name: 'calls' }], destination: { podName: 'server' } });
    const [redirected] = await list({ number: 1, whitelist: [{ verdict: [Verdict.REDIRECTED] }] });
    expect(redirected?.source?.podName).toBe('client');
  });
});

it('tell of the service that an address and a port are of', async () => {
  const services = serviceApi(test.lab);
  await test.apply(policy('let-in', isServer, { ingress: [{ ...fromPods(isClient), ...onPort(port) }] }));
  await services.set('web', { frontends: ['10.96.7.7:80'], backends: [`${server.ipv4}:${port}`] });
  const since = now();
  await curl(test.lab, 'client', 'http://10.96.7.7/');
  const called = { destinationService: ['default/web'], sourcePod: ['client'] };
  expect(await find(since, called)).toMatchObject({
    destinationService: { namespace: 'default', name: 'web' },
    destination: { podName: 'server' },
  });
  await services.delete('web');
  // What has been called goes on being named.
  await find(since, called);
});

it('weir endpoint config says how much of running connections is told', async () => {
  await test.apply(policy('let-in', isServer, { ingress: [fromPods(isClient)] }));
  const pings = async (): Promise<number> => {
    const since = now();
    await test.lab.exec('client', ['ping', '-c', '4', '-i', '0.2', '-W', '2', server.ipv4]);
    // Behind everything that the pings have caused.
    await expect(stranger.connect({ address: server.ipv4, port }, 300)).rejects.toThrow();
    await find(since, { sourcePod: ['stranger'], verdict: [Verdict.DROPPED] });
    const seconds = { seconds: Math.floor(since / 1_000), nanos: (since % 1_000) * 1e6 };
    return (await list({ since: seconds, whitelist: [{ protocol: ['icmp'], eventType: [{ type: 4 }] }] })).length;
  };
  const config = (pod: string, level: string) =>
    weirJson<{ aggregation: string }>(test.lab, 'endpoint', 'config', pod, '--aggregation', level);
  expect((await config('client', 'none')).aggregation).toBe('none');
  // Each request and each answer but the first request, which has a verdict.
  expect(await pings()).toBe(7);
  await config('client', 'maximum');
  // The other end wants what it did.
  await config('server', 'maximum');
  expect(await pings()).toBe(0);
  await Promise.all([config('client', 'medium'), config('server', 'medium')]);
});

it('flows keep the names of a pod that is gone, although another one has its number and its address', async () => {
  const gone = await test.lab.addPod({ name: 'gone', labels: { app: 'gone' } });
  const since = now();
  await test.lab.exec('gone', ['ping', '-c', '1', '-W', '2', server.ipv4]);
  await test.lab.removePod('gone');
  for (let attempt = 0; attempt < 3; attempt++) {
    await test.lab.addPod({ name: `next-${attempt}`, labels: { app: 'next' } });
  }
  const ping = await find(since, { sourceIp: [gone.ipv4], protocol: ['icmp'] });
  expect(ping).toMatchObject({
    source: { podName: 'gone', labels: expect.arrayContaining(['k8s:app=gone']) },
    ...{ Summary: 'ICMPv4 EchoRequest', l4: { ICMPv4: { type: 8, code: 0 } } },
  });
  for (let attempt = 0; attempt < 3; attempt++) await test.lab.removePod(`next-${attempt}`);
});

it('filters on the node give what the same filters give of all flows', async () => {
  const all = await list({ first: true });
  const filters: Filter[] = [
    { sourcePod: ['client'] },
    { destinationPort: [String(port)], protocol: ['tcp'] },
    { sourceLabel: ['app in (client, gone)'], reply: [false] },
    { destinationIp: [`${server.ipv4}/24`] },
    { tcpFlags: [{ SYN: true }] },
    { eventType: [{ type: 129 }] },
    { trafficDirection: [TrafficDirection.INGRESS], ipVersion: [2] },
  ];
  for (const filter of filters) {
    const isWanted = compileFilters({ whitelist: [filter] });
    const wanted = all.filter(isWanted).map(({ uuid }) => uuid);
    expect(wanted.length).toBeGreaterThan(0);
    expect((await list({ first: true, whitelist: [filter] })).map(({ uuid }) => uuid).slice(0, wanted.length)).toEqual(
      wanted,
    );
  }
});

/** What the table of docs/reference/flow-fields.md says: by kind of flow and field, what is in the cell. */
function documentedFields(): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/reference/flow-fields.md'), 'utf8');
  const [head = [], , ...rows] = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')));
  const kinds = head.slice(2, -1);
  return new Map(
    kinds.map((kind, index) => [kind, new Map(rows.map((row) => [row[1] ?? '', row[index + 2] ?? '']))] as const),
  );
}

it('flows of each kind have the fields that the reference says, and all fields are in it', async () => {
  const documented = documentedFields();
  const schema = hubbleDescriptors as { nested: { flow: { nested: { Flow: { fields: object } } } } };
  const fields = Object.keys(schema.nested.flow.nested.Flow.fields).toSorted();
  const byKind = Map.groupBy(await list({ first: true }), ({ eventType }) => eventType?.type ?? 0);
  for (const [kind, cells] of documented) {
    expect([...cells.keys()].toSorted()).toEqual(fields);
    const named = (text: string) => fields.filter((field) => cells.get(field) === text);
    const filled = (byKind.get(monitorTypes[kind] ?? -1) ?? []).map(
      (each) => new Set(Object.keys(messageToJson('flow.Flow', each))),
    );
    expect(filled.length).toBeGreaterThan(0);
    for (const each of filled) {
      expect([kind, named('always').filter((field) => !each.has(field))]).toEqual([kind, []]);
      expect([kind, named('–').filter((field) => each.has(field))]).toEqual([kind, []]);
    }
  }
});

it('the agent tells of endpoints and policies, and of itself', async () => {
  const seen: observer.GetAgentEventsResponse[] = [];
  for await (const event of flows.getAgentEvents({ number: 1_000 }, timeout)) seen.push(event);
  const types = new Set(seen.map(({ agentEvent }) => flow.AgentEventType[agentEvent?.type ?? 0]));
  expect([...types].toSorted()).toEqual([
    ...['AGENT_STARTED', 'ENDPOINT_CREATED', 'ENDPOINT_DELETED', 'ENDPOINT_REGENERATE_SUCCESS'],
    ...['POLICY_DELETED', 'POLICY_UPDATED'],
  ]);
  const status = await flows.serverStatus({});
  expect(status).toMatchObject({ maxFlows: 4_096, numConnectedNodes: null });
  expect(status.seenFlows).toBeGreaterThan(10);
  expect((await flows.getNamespaces({})).namespaces).toMatchObject([{ cluster: 'default', namespace: 'default' }]);
});

it('health and peers are there for who connects', async () => {
  const health = createRpcClient(HealthDefinition, { address });
  expect((await health.check({ service: 'hubble.server.Observer' })).status).toBe(1);
  health.close();
  const peers = createRpcClient(PeerDefinition, { address });
  for await (const { name, type } of peers.notify({}, timeout)) {
    expect([name, type]).toEqual(['node1', 1]);
    break;
  }
  peers.close();
});
