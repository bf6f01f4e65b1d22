// SPDX-License-Identifier: Apache-2.0
// The thread that serves flows, with events that the real programs write into the real ring.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { mountBpffs, unmountBpffs } from '@weir/bpf-loader-node';
import { createAuthority } from '@weir/certificates';
import { systemClock } from '@weir/clock';
import { mapSpecs } from '@weir/datapath-layout';
import { client, conversation, createPacketNode, other, type PacketNode, server, tcp } from '@weir/datapath-testing';
import { flow, ObserverDefinition, type observer, weir } from '@weir/proto';
import { createRpcClient, openTlsIdentity, type RpcClient, type TlsFiles } from '@weir/rpc';
import { silent } from '../testing/test-agent.ts';
import { createObserverHost, type ObserverHost } from './observer-host.ts';
import type { NameChange } from './thread-messages.ts';

const { Verdict, LostEventSource } = flow;
const timeout = { deadlineMs: 10_000 };
const forever = new AbortController();

let directory: string, bpfRoot: string, overTcp: string;
let node: PacketNode;
let subject: ObserverHost;
let flows: RpcClient<typeof ObserverDefinition>;
let snapshot: NameChange[];

const endpointOf = ({ id, name, ipv4, ipv6, ifindex }: typeof client, pod = name, atMs = 0): NameChange => ({
  kind: 'endpoint',
  atMs,
  endpoint: { id, namespace: 'default', pod, ipv4, ipv6, hostInterface: `weir${id}`, hostIfindex: ifindex },
});

async function start(options: { eventsPerInterval?: number; tls?: TlsFiles } = {}): Promise<void> {
  node = createPacketNode({ keepEvents: true, config: { eventsPerInterval: options.eventsPerInterval ?? 1_000 } });
  for (const { name } of [mapSpecs.events, mapSpecs.eventBudget])
    node.object.map(name).pin(join(bpfRoot, 'maps', name));
  const address = `unix:${directory}/hubble.sock`;
  subject = createObserverHost({
    thread: {
      ...{
        node: 'n1',
        nodeLabels: ['zone=a'],
        version: '1.2.3',
        bpfRoot,
        listen: [address, '127.0.0.1:0'],
        plaintext: 'loopback' as const,
        tls: options.tls,
      },
      ...{
        flowMetrics: { groups: ['drop'], contexts: ['pod' as const] },
        flowLog: { path: `${directory}/flows.json`, filters: {}, bytesMax: 1_000_000, filesMax: 2 },
        flowsMax: 1_024,
        logLevel: 'silent',
      },
    },
    ...{ snapshot: () => snapshot, clock: systemClock, logger: silent },
  });
  [, overTcp = ''] = await subject.start();
  flows = createRpcClient(ObserverDefinition, { address });
}
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-host-'));
  bpfRoot = join(directory, 'bpf');
  mkdirSync(bpfRoot);
  mountBpffs(bpfRoot);
  mkdirSync(join(bpfRoot, 'maps'));
  snapshot = [client, server].map((pod) => endpointOf(pod));
});
afterEach(async () => {
  flows.close();
  await subject.stop();
  node.close();
  unmountBpffs(bpfRoot);
  rmSync(directory, { recursive: true });
});

/** A connection that is opened from the client to the server. */
const connect = (port: number, from = client): void => {
  const over = tcp(40_000, port);
  node.send(from, conversation({ family: 'ipv4', from, to: server, over }).ask('SYN'));
};
async function next(request: observer.GetFlowsRequest.$Properties) {
  for await (const response of flows.getFlows({ follow: true, number: 1, ...request }, timeout)) return response;
  return undefined;
}

it('events of the kernel are served with the names that hold at their time', async () => {
  await start();
  connect(80);
  const found = await next({ whitelist: [{ destinationPort: ['80'] }] });
  expect(found?.flow).toMatchObject({
    ...{ verdict: Verdict.FORWARDED, nodeName: 'n1', emitter: { name: 'Weir', version: '1.2.3' } },
    source: { podName: 'client', ID: client.id, identity: client.identity },
    ...{ destination: { podName: 'server' }, interface: { name: `weir${client.id}`, index: client.ifindex } },
  });
  subject.names([
    { kind: 'endpoint-gone', atMs: Date.now(), id: client.id },
    endpointOf(client, 'heir', Date.now() + 60_000),
  ]);
  connect(81);
  const later = await next({ whitelist: [{ destinationPort: ['81'] }] });
  expect(later?.flow?.source?.podName).toBe('client');
});

it('every event is seen or told as lost, with the CPU that lost it', async () => {
  await start({ eventsPerInterval: 1 });
  for (let port = 1; port <= 50; port++) connect(port);
  let seen = 0;
  let lost = 0n;
  for await (const { lostEvents } of flows.getFlows({ follow: true, number: 100 }, timeout)) {
    if (lostEvents) {
      expect(lostEvents).toMatchObject({
        source: LostEventSource.PERF_EVENT_RING_BUFFER,
        cpu: { value: expect.any(Number) },
      });
      lost += BigInt(lostEvents.numEventsLost ?? 0);
    } else seen += 1;
    if (seen + Number(lost) === 50) break;
  }
  expect(lost).toBeGreaterThan(0n);
});

it('calls of the proxy become a request and an answer', async () => {
  await start();
  const { CALL_VERDICT_DENIED } = weir.proxy.v1.CallVerdict;
  const addresses = { sourceAddress: Buffer.from([10, 1, 0, 11]), destinationAddress: Buffer.from([10, 1, 0, 12]) };
  subject.names([{ kind: 'rule-set', number: 7, policies: ['CiliumNetworkPolicy/default/rule'] }]);
  const traceParent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
  const http = { method: 'PUT', path: '/x', host: 'h', protocol: 'HTTP/1.1', status: 403, traceParent };
  const call = { timeNs: Date.now() * 1e6, latencyNs: 5_000_000, verdict: CALL_VERDICT_DENIED, ...addresses, ...http };
  subject.accessLog({ calls: [{ ...call, ingressRuleSet: 7, deniedByRuleSet: 7 }], lost: 0 });
  const request = await next({ whitelist: [{ httpMethod: ['PUT'], reply: [false] }] });
  const answer = await next({ whitelist: [{ httpStatusCode: ['403'] }] });
  expect(request?.flow).toMatchObject({
    ...{ verdict: Verdict.DROPPED, Summary: 'HTTP/1.1 PUT http://h/x', source: { podName: 'client' } },
    ingressDeniedBy: [{ kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'rule' }],
    traceContext: { parent: { traceId: 'ab'.repeat(16) } },
    l7: { http: { headers: [{ key: 'traceparent', value: traceParent }] } },
  });
  expect(answer?.flow).toMatchObject({
    Summary: 'HTTP/1.1 403 5ms (PUT http://h/x)',
    destination: { podName: 'client' },
  });
});

it('whoever watches the node through the agent sees the same events', async () => {
  await start();
  const watching = subject.watch({ types: new Set(['policy-verdict']), endpoints: new Set() }, forever.signal);
  const first = watching[Symbol.asyncIterator]().next();
  connect(90);
  expect((await first).value).toMatchObject({ type: 'policy-verdict', source: { pod: 'client', port: 40_000 } });
});

it('a drop names the policies that keep whom nothing allows away', async () => {
  await start();
  node.setPolicy(server, { ingress: [] });
  const ingress = ['CiliumNetworkPolicy/default/closed'];
  subject.names([{ kind: 'default-deny', atMs: 0, subject: { identity: server.identity, ingress, egress: [] } }]);
  connect(95, other);
  const found = await next({ whitelist: [{ destinationPort: ['95'] }] });
  expect(found?.flow).toMatchObject({ verdict: Verdict.DROPPED, ingressDeniedBy: [{ name: 'closed' }] });
});

it('flows go over TCP to whoever shows a certificate', async () => {
  const authority = createAuthority({ directory });
  await start({ tls: authority.issue(['n1.node.weir']) });
  const tls = { identity: openTlsIdentity(authority.issue(['reader.weir'])), serverName: 'n1.node.weir' };
  const reader = createRpcClient(ObserverDefinition, { address: overTcp, tls });
  expect(await reader.serverStatus({})).toMatchObject({ version: 'weir v1.2.3' });
  const stranger = createRpcClient(ObserverDefinition, { address: overTcp });
  await expect(stranger.serverStatus({})).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  [reader, stranger, tls.identity].forEach((each) => each.close());
});

it('flows are counted in metrics, with the names that they have', async () => {
  await start();
  node.setPolicy(server, { ingress: [] });
  connect(96);
  const line =
    'weir_flow_drop_total{reason="Policy denied",protocol="TCP",source="default/client",destination="default/server"} 1';
  while (!(await subject.flowMetrics()).split('\n').includes(line)) await new Promise((done) => setTimeout(done, 10));
});

it('flows are written to a file', async () => {
  await start();
  connect(97);
  const isWritten = (): boolean =>
    existsSync(`${directory}/flows.json`) &&
    readFileSync(`${directory}/flows.json`, 'utf8').includes('"pod_name":"client"');
  while (!isWritten()) await new Promise((done) => setTimeout(done, 10));
});

it('a thread that dies is started again, with the names that it had and for those who watched', async () => {
  await start();
  const watching = subject.watch({ types: new Set(['policy-verdict']), endpoints: new Set() }, forever.signal);
  const events = watching[Symbol.asyncIterator]();
  const first = events.next();
  connect(98);
  expect((await first).value).toMatchObject({ destination: { port: 98 } });
  const second = events.next();
  // What only a bug of ours could send.
  subject.names([{ kind: 'endpoint', atMs: 0, endpoint: undefined } as never]);
  const seen = async (): Promise<number | undefined> =>
    (await flows.serverStatus({}).catch(() => undefined))?.seenFlows;
  while ((await seen()) !== 0) await new Promise((done) => setTimeout(done, 10));
  connect(99);
  const found = await next({ whitelist: [{ destinationPort: ['99'] }] });
  expect(found?.flow).toMatchObject({ source: { podName: 'client' }, destination: { podName: 'server' } });
  expect((await second).value).toMatchObject({ source: { pod: 'client' }, destination: { port: 99 } });
});
