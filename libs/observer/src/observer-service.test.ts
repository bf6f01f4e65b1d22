// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Flow } from '@weir/flow';
import { flow, HealthDefinition, type observer, ObserverDefinition, PeerDefinition } from '@weir/proto';
import { createRpcClient, createRpcServer, type RpcClient, type RpcServer } from '@weir/rpc';
import {
  createEventRing,
  createObserver,
  createPeers,
  type EventRing,
  observerHealthName,
  type Observer,
  recordKind,
} from './index.ts';

type Request = observer.GetFlowsRequest.$Properties;
type Response = observer.GetFlowsResponse;

const { Verdict, LostEventSource, AgentEventType } = flow;
const startS = 1_700_000_000;
const capacity = 32;

let directory: string;
let ring: EventRing;
let server: RpcServer;
let subject: Observer;
let client: RpcClient<typeof ObserverDefinition>;
const peers = createPeers();
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-observer-'));
  ring = createEventRing({ capacity, rawBytes: 8 });
  const flowAt = (number: number): Flow => ring.valueOf(number) as Flow;
  subject = createObserver({ ring, flowAt, node: 'n1', version: 'weir v0' });
  const address = `unix:${directory}/hubble.sock`;
  server = createRpcServer({
    services: [subject.service, peers.service],
    listen: [address],
    healthNames: [observerHealthName],
  });
  await server.start();
  client = createRpcClient(ObserverDefinition, { address });
});
afterEach(async () => {
  client.close();
  subject.close();
  await server.stop({ deadlineMs: 0 });
  rmSync(directory, { recursive: true });
});

/** One flow a second, named after its place; the odd ones are dropped. */
function push(from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const value: Flow = {
      time: { seconds: startS + at },
      nodeName: 'n1',
      verdict: at % 2 === 0 ? Verdict.FORWARDED : Verdict.DROPPED,
      source: { namespace: 'ns', podName: `pod-${at}`, clusterName: 'c' },
      Summary: 'x'.repeat(at === 31 ? 300 : 3),
    };
    ring.push(recordKind.value, { value, timeNs: (startS + at) * 1e9 });
  }
}
const placeOf = ({ flow: each, lostEvents }: Response): number | string =>
  lostEvents ? `lost ${lostEvents.numEventsLost}` : Number(each?.source?.podName?.slice(4));

async function ask(request: Request, count = Infinity): Promise<(number | string)[]> {
  const places: (number | string)[] = [];
  for await (const response of client.getFlows(request, { deadlineMs: 5_000 })) {
    places.push(placeOf(response));
    if (places.length === count) break;
  }
  return places;
}
async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
const at = (place: number) => ({ seconds: startS + place });
const dropped = [{ verdict: [Verdict.DROPPED] }];

describe('getFlows', () => {
  it.each<[string, Request, (number | string)[]]>([
    ['the last ones', { number: 3 }, [7, 8, 9]],
    ['the last ones that a filter wants', { number: 2, whitelist: dropped }, [7, 9]],
    ['the last ones that no filter refuses', { number: 2, blacklist: dropped }, [6, 8]],
    ['more than there are', { number: 100 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['all of them', { number: 2 ** 64 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['the first ones', { number: 2, first: true }, [0, 1]],
    ['all from the first one', { first: true }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ['the first ones that a filter wants', { number: 2, first: true, whitelist: dropped }, [1, 3]],
    ['all since a time, which counts', { since: at(7) }, [7, 8, 9]],
    ['so many since a time', { since: at(5), number: 2 }, [5, 6]],
    ['since a time that has yet to come', { since: at(50) }, []],
    ['all until a time, which counts', { until: at(2) }, [0, 1, 2]],
    ['between two times', { since: at(3), until: at(4) }, [3, 4]],
    ['the first ones since a time', { since: at(3), first: true, number: 1 }, [3]],
  ])('gives %s', async (_title, request, places) => {
    push(0, 10);
    expect(await ask(request)).toEqual(places);
  });

  it('of an empty ring ends at once', async () => expect(await ask({ number: 20 })).toEqual([]));

  it('gives no more than the ring holds', async () => {
    push(0, capacity + 5);
    expect(await ask({ first: true, number: 1 })).toEqual([5]);
  });

  it.each<[string, Request, number[]]>([
    ['from the newest one', { follow: true }, [9, 10, 11]],
    ['from so many back', { follow: true, number: 2 }, [8, 9, 10]],
    ['since a time', { follow: true, since: at(8) }, [8, 9, 10]],
    ['only what a filter wants', { follow: true, number: 1, whitelist: dropped }, [9, 11, 13]],
  ])('follows %s', async (_title, request, places) => {
    push(0, 10);
    const answer = ask(request, places.length);
    await sleep(50);
    push(10, 14);
    expect(await answer).toEqual(places);
  });

  it('ends a stream that follows at the first flow behind a time', async () => {
    push(0, 3);
    const answer = ask({ follow: true, number: 1, until: at(4) });
    await sleep(50);
    push(3, 7);
    expect(await answer).toEqual([2, 3, 4]);
  });

  it('passes on what was lost, whatever the filter, and does not count it', async () => {
    push(0, 2);
    const value = { source: LostEventSource.PERF_EVENT_RING_BUFFER, numEventsLost: 7, cpu: { value: 1 } };
    ring.push(recordKind.lost, { value, timeNs: (startS + 2) * 1e9 });
    push(3, 4);
    expect(await ask({ number: 2, whitelist: dropped })).toEqual([1, 'lost 7', 3]);
  });

  it('passes over events that are no flows', async () => {
    push(0, 1);
    ring.push(recordKind.agentEvent, { value: { type: AgentEventType.AGENT_STARTED }, timeNs: startS * 1e9 });
    expect(await ask({ number: 5 })).toEqual([0]);
  });

  it('tells a reader that falls behind how much it has missed, and when', async () => {
    push(0, 1);
    const stream = client.getFlows({ follow: true }, { deadlineMs: 5_000 })[Symbol.asyncIterator]();
    expect(placeOf((await stream.next()).value)).toBe(0);
    // All of them come in one turn of the loop: the reader has no chance to keep up.
    push(1, 1 + capacity + 10);
    const { lostEvents, nodeName } = (await stream.next()).value as Response;
    expect(lostEvents).toMatchObject({ source: LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: 10 });
    expect({ nodeName, first: lostEvents?.first?.seconds, last: lostEvents?.last?.seconds }).toEqual({
      ...{ nodeName: 'n1', first: startS, last: startS + 11 },
    });
    expect(placeOf((await stream.next()).value)).toBe(11);
    await stream.return?.(undefined);
  });

  it('cuts flows down to a mask, and with them the time and node of the response', async () => {
    push(0, 1);
    const [response] = await collect(client.getFlows({ number: 1, fieldMask: { paths: ['source.pod_name'] } }));
    expect({ pod: response?.flow?.source?.podName, namespace: response?.flow?.source?.namespace }).toEqual({
      ...{ pod: 'pod-0', namespace: '' },
    });
    expect([response?.time, response?.nodeName]).toEqual([null, '']);
  });

  it.each<[string, Request, string]>([
    ['first with follow', { first: true, follow: true }, 'first cannot be specified with follow'],
    ['a port that is none', { whitelist: [{ sourcePort: ['x'] }] }, 'invalid source port filter: invalid port "x"'],
    ['a field that is none', { fieldMask: { paths: ['nope'] } }, 'invalid fieldmask'],
  ])('refuses %s', async (_title, request, message) => {
    await expect(ask(request)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    });
  });
});

it('serverStatus counts', async () => {
  push(0, capacity + 3);
  expect(await client.serverStatus({})).toMatchObject({
    ...{ numFlows: capacity, maxFlows: capacity, seenFlows: capacity + 3, version: 'weir v0' },
    ...{ numConnectedNodes: null, flowsRate: expect.any(Number) },
  });
});

it('getNamespaces lists where flows came from', async () => {
  push(0, 3);
  const { namespaces } = await client.getNamespaces({});
  expect(namespaces).toMatchObject([{ cluster: 'c', namespace: 'ns' }]);
});

it('getNodes is not for a node', async () => {
  await expect(client.getNodes({})).rejects.toMatchObject({
    code: 'NOT_SUPPORTED',
    message: 'GetNodes not implemented',
  });
});

it('getAgentEvents and getDebugEvents give theirs only', async () => {
  push(0, 2);
  ring.push(recordKind.agentEvent, { value: { type: AgentEventType.POLICY_UPDATED }, timeNs: startS * 1e9 });
  ring.push(recordKind.debugEvent, { value: { type: flow.DebugEventType.DBG_ENCAP }, timeNs: startS * 1e9 });
  const agentEvents = await collect(client.getAgentEvents({ number: 20 }));
  const debugEvents = await collect(client.getDebugEvents({ number: 20 }));
  expect(agentEvents).toMatchObject([{ agentEvent: { type: 3 }, nodeName: 'n1', time: { seconds: startS } }]);
  expect(debugEvents).toMatchObject([{ debugEvent: { type: 3 } }]);
});

it('answers the health service under the name that the command line asks for', async () => {
  const health = createRpcClient(HealthDefinition, { address: `unix:${directory}/hubble.sock` });
  server.health.setAll('SERVING');
  expect((await health.check({ service: observerHealthName })).status).toBe(1);
  health.close();
});

it('the peer service tells of all nodes, and then of every change', async () => {
  const peerClient = createRpcClient(PeerDefinition, { address: `unix:${directory}/hubble.sock` });
  peers.set([{ name: 'a', address: '10.0.0.1:4244' }]);
  const stream = peerClient.notify({}, { deadlineMs: 5_000 })[Symbol.asyncIterator]();
  const next = async () => {
    const { value } = await stream.next();
    return [value?.type, value?.name, value?.address];
  };
  expect(await next()).toEqual([1, 'a', '10.0.0.1:4244']);
  peers.set([
    { name: 'a', address: '10.0.0.9:4244' },
    { name: 'b', address: '' },
  ]);
  expect([await next(), await next()]).toEqual([
    [3, 'a', '10.0.0.9:4244'],
    [1, 'b', ''],
  ]);
  peers.set([{ name: 'b', address: '' }]);
  expect(await next()).toEqual([2, 'a', '10.0.0.9:4244']);
  await stream.return?.(undefined);
  peerClient.close();
});
