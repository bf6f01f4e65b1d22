// SPDX-License-Identifier: Apache-2.0
// Flows as hubble and its user interface ask for them: over the agent's own socket, from real packets and real calls.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compileFilters, type Flow } from '@weir/flow';
import { flow, HealthDefinition, type observer, ObserverDefinition, PeerDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { authority, curl, httpServer } from './testing/http.ts';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';

type Request = observer.GetFlowsRequest.$Properties;
type Filter = flow.FlowFilter.$Properties;

const { Verdict, DropReason, TrafficDirection } = flow;
const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const port = 8080;
const timeout = { deadlineMs: 15_000 };

let server: PlayedPod, client: PlayedPod, stranger: PlayedPod;
const test = useLab('flows', async ({ pod }) => {
  [server, client, stranger] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(port) }),
    pod('client', { labels: isClient }),
    pod('stranger', { labels: { app: 'stranger' } }),
  ]);
});

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
    });
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
    ...{ Summary: 'ICMPv4 EchoRequest', l4: { ICMPv4: { type: 8 } } },
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
