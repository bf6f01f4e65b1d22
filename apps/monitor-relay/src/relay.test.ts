// SPDX-License-Identifier: Apache-2.0
// A relay over real sockets, in front of nodes that serve real rings of flows.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Flow } from '@weir/flow';
import {
  createEventRing,
  createObserver,
  createPeers,
  type EventRing,
  observerHealthName,
  type PeerNode,
  recordKind,
} from '@weir/observer';
import type { observer } from '@weir/proto';
import { HealthDefinition, ObserverDefinition, relay } from '@weir/proto';
import { createRpcClient, createRpcServer, type RpcClient, rpcService } from '@weir/rpc';
import { createLogger } from '@weir/telemetry';
import { type Relay, startRelay } from './relay.ts';

type Response = observer.GetFlowsResponse;

const { NodeState } = relay;
const logger = createLogger({ service: 'test', level: 'silent' });
const startS = 1_700_000_000;

interface Node {
  readonly name: string;
  readonly address: string;
  readonly ring: EventRing;
  /** How many ask it for flows. */
  readonly readers: number;
  push(atS: number, pod: string): void;
  stop(): Promise<void>;
}

let directory: string;
let nodes: Node[];
let subject: Relay;
let client: RpcClient<typeof ObserverDefinition>;
const peers = createPeers();
const cleanups: (() => unknown)[] = [];

async function startNode(name: string, capacity = 64): Promise<Node> {
  const ring = createEventRing({ capacity, rawBytes: 8 });
  const flowAt = (number: number): Flow => ring.valueOf(number) as Flow;
  const subjectOf = createObserver({ ring, flowAt, node: name, version: 'weir v0' });
  const path = `${directory}/${name}.sock`;
  let readers = 0;
  const { service } = subjectOf;
  const { getFlows } = service.handlers as { getFlows: (...call: unknown[]) => AsyncIterable<unknown> };
  const counted = async function* (...call: unknown[]) {
    readers += 1;
    try {
      yield* getFlows(...call);
    } finally {
      readers -= 1;
    }
  };
  const handlers = { ...service.handlers, getFlows: counted };
  const server = createRpcServer({ services: [{ ...service, handlers }], listen: [`unix:${path}`] });
  await server.start();
  const stop = async (): Promise<void> => {
    subjectOf.close();
    await server.stop({ deadlineMs: 0 });
  };
  cleanups.push(stop);
  return {
    ...{ name, address: `unix://${path}`, ring, stop },
    get readers() {
      return readers;
    },
    push(atS, podName) {
      const value: Flow = {
        ...{ time: { seconds: startS + atS }, nodeName: name, source: { namespace: 'ns', podName, clusterName: 'c' } },
      };
      ring.push(recordKind.value, { value, timeNs: (startS + atS) * 1e9 });
    },
  };
}

/** A node that takes calls and answers none of them. */
async function startHanging(name: string): Promise<PeerNode> {
  const hang = (_request: unknown, { signal }: { readonly signal: AbortSignal }) =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new TypeError('over'))));
  const stream = async function* (request: unknown, call: { readonly signal: AbortSignal }) {
    yield await hang(request, call);
  };
  const handlers = {
    ...{ getFlows: stream, getAgentEvents: stream, getDebugEvents: stream },
    ...{ getNodes: hang, getNamespaces: hang, serverStatus: hang },
  };
  const path = `${directory}/${name}.sock`;
  const server = createRpcServer({ services: [rpcService(ObserverDefinition, handlers)], listen: [`unix:${path}`] });
  await server.start();
  cleanups.push(() => server.stop({ deadlineMs: 0 }));
  return { name, address: `unix://${path}` };
}

/** Waits until so many ask a node for flows. */
async function asked(node: Node, readers = 1): Promise<void> {
  while (node.readers !== readers) await sleep(5);
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-relay-'));
  nodes = [await startNode('a'), await startNode('b')];
  const peerAddress = `unix:${directory}/peers.sock`;
  const peerServer = createRpcServer({ services: [peers.service], listen: [peerAddress] });
  await peerServer.start();
  peers.set(nodes);
  const address = `unix:${directory}/relay.sock`;
  const parts = { nodeName: 'relay', peerService: peerAddress, listen: [address], version: '1', logger };
  subject = await startRelay({
    ...parts,
    plaintext: 'loopback',
    times: { waitMs: 100, retryDelayMs: 200, silenceMs: 1_000, errorQuietMs: 2_000 },
  });
  client = createRpcClient(ObserverDefinition, { address });
  cleanups.push(
    () => peerServer.stop({ deadlineMs: 0 }),
    () => subject.stop(),
    () => client.close(),
  );
  await known(2);
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  rmSync(directory, { recursive: true });
});

/** Waits until the relay knows so many nodes. */
async function known(count: number): Promise<void> {
  while ((await client.getNodes({})).nodes?.length !== count) await sleep(10);
}
const textOf = ({ flow, nodeStatus, lostEvents }: Response): string => {
  if (nodeStatus) return `${NodeState[nodeStatus.stateChange ?? 0]} ${nodeStatus.nodeNames?.join(',')}`;
  return flow ? `${flow.source?.podName}@${flow.nodeName}` : `lost ${lostEvents?.numEventsLost}`;
};
async function ask(request: observer.GetFlowsRequest.$Properties, count = Infinity): Promise<string[]> {
  const seen: string[] = [];
  for await (const response of client.getFlows(request, { deadlineMs: 10_000 })) {
    if (seen.push(textOf(response)) >= count) break;
  }
  return seen;
}

describe('getFlows', () => {
  it('says whom it asks, and gives the flows of all in order of time', async () => {
    const [a, b] = nodes as [Node, Node];
    a.push(1, 'one');
    b.push(2, 'two');
    a.push(3, 'three');
    b.push(4, 'four');
    expect(await ask({ number: 10 })).toEqual(['NODE_CONNECTED a,b', 'one@a', 'two@b', 'three@a', 'four@b']);
  });

  it('leaves filters to the nodes, and the number counts for each of them', async () => {
    const [a, b] = nodes as [Node, Node];
    for (const [index, node] of [a, b, a, b].entries()) node.push(index, index < 2 ? 'x' : 'y');
    expect(await ask({ number: 1, whitelist: [{ sourcePod: ['ns/x'] }] })).toEqual([
      'NODE_CONNECTED a,b',
      'x@a',
      'x@b',
    ]);
  });

  it('answers in part when a node is away, and says which', async () => {
    const [a, b] = nodes as [Node, Node];
    a.push(1, 'one');
    await b.stop();
    expect(await ask({ number: 10 })).toEqual(['NODE_CONNECTED a', 'NODE_UNAVAILABLE b', 'one@a']);
  });

  it('goes on when a node fails in between, and asks it again when it is back', async () => {
    const [a, b] = nodes as [Node, Node];
    a.push(1, 'one');
    b.push(1, 'two');
    const answer = ask({ follow: true, number: 1 }, 6);
    await Promise.all([asked(a), asked(b)]);
    await b.stop();
    const again = await startNode('b');
    again.push(5, 'back');
    a.push(6, 'last');
    const seen = await answer;
    expect(seen[0]).toBe('NODE_CONNECTED a,b');
    expect(new Set(seen.slice(1))).toEqual(new Set(['one@a', 'two@b', 'NODE_ERROR b', 'last@a', 'back@b']));
  });

  it('says it once when several nodes fail in one way, and goes on with the others', async () => {
    const [a] = nodes as [Node];
    a.push(1, 'one');
    peers.set([...nodes, await startHanging('stuck1'), await startHanging('stuck2')]);
    await known(4);
    const errors: observer.GetFlowsResponse['nodeStatus'][] = [];
    for await (const { nodeStatus } of client.getFlows({ number: 10 }, { deadlineMs: 10_000 })) {
      if (nodeStatus?.stateChange === NodeState.NODE_ERROR) errors.push(nodeStatus);
    }
    const message = 'rpc error: code = DeadlineExceeded desc = No answer for 1000 ms';
    expect(errors).toMatchObject([{ message }]);
    expect(errors[0]?.nodeNames?.toSorted()).toEqual(['stuck1', 'stuck2']);
  });

  it('says it once when nodes that are followed go away together', async () => {
    const [a, b] = nodes as [Node, Node];
    const answer = ask({ follow: true, number: 1 }, 2);
    await Promise.all([asked(a), asked(b)]);
    await Promise.all([a.stop(), b.stop()]);
    // In whichever order they went.
    expect((await answer).map((text) => text.split(/[ ,]/).toSorted().join(' '))).toEqual([
      'NODE_CONNECTED a b',
      'NODE_ERROR a b',
    ]);
  });

  it('asks a node that it is told of while somebody follows', async () => {
    const [a] = nodes as [Node];
    const late = await startNode('late');
    late.push(2, 'late');
    a.push(1, 'one');
    const answer = ask({ follow: true, number: 1 }, 3);
    peers.set([...nodes, late]);
    expect(await answer).toEqual(['NODE_CONNECTED a,b', 'one@a', 'late@late']);
  });

  it('a node whose clock is five minutes behind does not hold up the others', async () => {
    const [a, b] = nodes as [Node, Node];
    const answer = ask({ follow: true, since: { seconds: startS - 1_000 } }, 4);
    await asked(a);
    await asked(b);
    b.push(-300, 'behind');
    a.push(1, 'one');
    a.push(2, 'two');
    expect(await answer).toEqual(['NODE_CONNECTED a,b', 'behind@b', 'one@a', 'two@a']);
  });

  it('a node whose clock is five minutes ahead is not kept back', async () => {
    const [a, b] = nodes as [Node, Node];
    const nowS = Math.floor(Date.now() / 1_000) - startS;
    const answer = ask({ follow: true, since: { seconds: startS } }, 4);
    await asked(b);
    b.push(nowS + 300, 'ahead');
    a.push(nowS - 2, 'one');
    a.push(nowS - 1, 'two');
    expect((await answer).toSorted()).toEqual(['NODE_CONNECTED a,b', 'ahead@b', 'one@a', 'two@a']);
  });

  it('a reader that does not read loses flows and is told how many; another one gets them all', async () => {
    const [a] = nodes as [Node];
    peers.set([a]);
    await known(1);
    const request = { follow: true, since: { seconds: startS } };
    const slow = client.getFlows(request, { deadlineMs: 60_000 })[Symbol.asyncIterator]();
    await slow.next();
    let quick = 0;
    void (async () => {
      for await (const { flow } of client.getFlows(request, { deadlineMs: 60_000 })) if (flow) quick += 1;
    })().catch(() => undefined);
    await asked(a, 2);
    // Each is more than what lies on the way between a node and a reader takes of one flow.
    const flows = 800;
    for (let at = 0; at < flows; at++) {
      a.push(at, 'x'.repeat(20_000));
      if (at % 8 === 7) while (quick <= at) await sleep(1);
    }
    expect(quick).toBe(flows);
    let [read, lost] = [0, 0];
    while (read + lost < flows) {
      const { flow, lostEvents } = (await slow.next()).value as Response;
      if (flow) read += 1;
      lost += lostEvents?.numEventsLost ?? 0;
    }
    expect([lost > 0, read + lost]).toEqual([true, flows]);
    await slow.return?.(undefined);
  });

  it('asks nodes no longer when its reader has vanished', async () => {
    const source = `
      import { ObserverDefinition } from '@weir/proto';
      import { createRpcClient } from '@weir/rpc';
      const client = createRpcClient(ObserverDefinition, { address: 'unix:${directory}/relay.sock' });
      for await (const response of client.getFlows({ follow: true })) process.stdout.write('.');`;
    const args = ['--input-type=module-typescript', '--eval', source];
    const reader = spawn(process.execPath, args, {
      cwd: import.meta.dirname,
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    await Promise.all(nodes.map((node) => asked(node)));
    reader.kill('SIGKILL');
    await Promise.all(nodes.map((node) => asked(node, 0)));
  });

  it('goes on without a node that hangs, and says so', async () => {
    const [a] = nodes as [Node];
    a.push(1, 'one');
    a.push(2, 'two');
    peers.set([...nodes, await startHanging('stuck')]);
    await known(3);
    const seen = await ask({ number: 10 });
    expect(seen[0]).toBe('NODE_CONNECTED a,b,stuck');
    expect(seen.slice(1).toSorted()).toEqual(['NODE_ERROR stuck', 'one@a', 'two@a']);
  });

  it.each([
    [{ first: true, follow: true }, 'first cannot be specified with follow'],
    [{ whitelist: [{ sourcePort: ['x'] }] }, 'invalid source port filter'],
  ])('refuses %j', async (request, message) => {
    await expect(ask(request)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    });
  });
});

it('serverStatus sums what the nodes say, and names those that say nothing', async () => {
  const [a, b] = nodes as [Node, Node];
  a.push(1, 'one');
  b.push(2, 'two');
  expect(await client.serverStatus({})).toMatchObject({
    ...{ numFlows: 2, maxFlows: 128, seenFlows: 2, version: 'weir-relay v1', unavailableNodes: [] },
    ...{ numConnectedNodes: { value: 2 }, numUnavailableNodes: { value: 0 } },
  });
  await b.stop();
  expect(await client.serverStatus({})).toMatchObject({
    numFlows: 1,
    numUnavailableNodes: { value: 1 },
    unavailableNodes: ['b'],
  });
});

it('getNodes and getNamespaces put together what the nodes say', async () => {
  nodes[0]?.push(1, 'one');
  const listed = (await client.getNodes({})).nodes as observer.Node[];
  expect(listed.map(({ name, state, maxFlows }) => [name, state, maxFlows])).toEqual([
    ['a', NodeState.NODE_CONNECTED, 64],
    ['b', NodeState.NODE_CONNECTED, 64],
  ]);
  expect((await client.getNamespaces({})).namespaces).toMatchObject([{ cluster: 'c', namespace: 'ns' }]);
});

it('is healthy while there are nodes to ask', async () => {
  const health = createRpcClient(HealthDefinition, { address: `unix:${directory}/relay.sock` });
  while ((await health.check({ service: observerHealthName })).status !== 1) await sleep(50);
  health.close();
});

it('serves metrics of itself and of the flows of all nodes', async () => {
  const [a, b] = nodes as [Node, Node];
  const counting = await startRelay({
    ...{ nodeName: 'counting', peerService: `unix:${directory}/peers.sock`, version: '1', logger },
    ...{ listen: [`unix:${directory}/counting.sock`], plaintext: 'loopback' },
    ...{ metrics: { host: '127.0.0.1', port: 0 }, flowMetrics: ['flow'], flowMetricsContext: ['pod'] },
    times: { retryDelayMs: 100 },
  });
  cleanups.push(() => counting.stop());
  await Promise.all([asked(a), asked(b)]);
  a.push(1, 'one');
  b.push(2, 'two');
  b.push(3, 'two');
  const flows = 'weir_flow_flows_processed_total{type="unknown",subtype="",verdict="VERDICT_UNKNOWN"';
  const expected = [
    ...['weir_relay_nodes 2', 'weir_relay_nodes_unreachable 0', 'weir_relay_peer_service_away 0'],
    ...[`${flows},source="ns/one",destination=""} 1`, `${flows},source="ns/two",destination=""} 2`],
  ];
  const isServed = async (): Promise<boolean> => {
    const lines = (await (await fetch(`http://${counting.metricsAddress}/metrics`)).text()).split('\n');
    return expected.every((line) => lines.includes(line));
  };
  while (!(await isServed())) await sleep(20);
  expect((await fetch(`http://${counting.metricsAddress}/healthz`)).ok).toBe(true);
});
