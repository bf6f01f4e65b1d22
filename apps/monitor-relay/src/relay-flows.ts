// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { compileFieldMask, compileFilters, timestampOf } from '@weir/flow';
import { type google, observer, relay } from '@weir/proto';
import { createMerge, type Merge } from './merge.ts';
import { createNodeErrors, type NodeErrors, nodeErrorText } from './node-errors.ts';
import type { NodePool, PooledNode } from './node-pool.ts';
import type { TimedResponse } from './timed-response.ts';

/** How patient the relay is. */
export interface RelayTimes {
  /** How long flows of one node wait for older ones of another that is silent. */
  readonly waitMs: number;
  readonly retryDelayMs: number;
  /** How long a node that owes the rest of an answer may say nothing. */
  readonly silenceMs: number;
  /** How long an error of a node waits for the same at others, see {@link createNodeErrors}. */
  readonly errorQuietMs: number;
  readonly errorWindowMs: number;
}

export interface RelayFlowsOptions extends RelayTimes {
  readonly pool: NodePool;
  /** Of the relay itself. */
  readonly node: string;
}

interface RelayRequest extends RelayFlowsOptions {
  readonly request: observer.GetFlowsRequest;
  readonly signal: AbortSignal;
}

interface Query extends RelayRequest {
  /** The time of the last flow that each node has given. */
  readonly given: Map<string, google.protobuf.Timestamp>;
  readonly errors: NodeErrors;
}

const { NodeState } = relay;
// Responses that wait to be put into order; behind them the node waits, and counts what the reader loses by that.
const waitingMax = 8_192;
const waitingOfNode = { min: 16, max: 256 };
const connectDeadlineMs = 1_000;
const silenceChecks = 4;

const itemsMaxFor = (nodes: number): number =>
  Math.max(waitingOfNode.min, Math.min(waitingOfNode.max, Math.floor(waitingMax / Math.max(1, nodes))));

function statusResponse(node: string, nodeStatus: relay.NodeStatusEvent.$Properties): TimedResponse {
  const timeMs = Date.now();
  const message = { nodeStatus, nodeName: node, time: timestampOf(timeMs) };
  return { bytes: Buffer.from(observer.GetFlowsResponse.encode(message).finish()), timeMs, time: undefined };
}

const isReachable = async ({ client }: PooledNode): Promise<boolean> =>
  client === undefined
    ? false
    : client.ready({ deadlineMs: connectDeadlineMs }).then(
        () => true,
        () => false,
      );

/** Ends a stream that has not given anything for too long although somebody was waiting for it. */
async function* endSilence<Item>(
  start: (signal: AbortSignal) => AsyncIterable<Item>,
  { silenceMs, signal }: { readonly silenceMs: number; readonly signal: AbortSignal },
): AsyncGenerator<Item> {
  const own = new AbortController();
  let since = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - since > silenceMs) own.abort();
  }, silenceMs / silenceChecks);
  try {
    for await (const item of start(AbortSignal.any([signal, own.signal]))) {
      since = Infinity;
      yield item;
      since = performance.now();
    }
  } catch (error) {
    if (!own.signal.aborted) throw error;
    throw new WeirError('TIMEOUT', `No answer for ${silenceMs} ms`, { cause: error });
  } finally {
    clearInterval(timer);
  }
}

/** What to ask of a node that was asked before: what has come since. */
function requestAfter(
  request: observer.GetFlowsRequest,
  last: google.protobuf.Timestamp | undefined,
): observer.GetFlowsRequest.$Properties {
  if (last === undefined) return request;
  return { ...request, number: 0, since: { seconds: last.seconds, nanos: last.nanos + 1 } };
}

/** Reads one node until its stream ends; an error of it becomes an event of the stream, which goes on. */
async function readNode(
  merge: Merge<TimedResponse>,
  { name, address, client }: PooledNode,
  query: Query,
): Promise<void> {
  const { signal, given, errors } = query;
  if (client === undefined) return;
  const request = requestAfter(query.request, given.get(name));
  const ask = async function* (until: AbortSignal) {
    for await (const response of client.getFlows(request, { signal: until })) {
      if (response.time !== undefined) given.set(name, response.time);
      yield response;
    }
  };
  try {
    // A node whose flows are followed may have none.
    await merge.add(request.follow ? ask(signal) : endSilence(ask, query));
  } catch (error) {
    if (signal.aborted) return;
    errors.add(name, nodeErrorText(error, address));
  }
}

/** Asks nodes that are not asked yet, or no longer, for as long as somebody follows. */
async function keepAsking(
  reading: ReadonlyMap<string, unknown>,
  ask: (node: PooledNode) => void,
  { pool, signal, retryDelayMs }: Query,
): Promise<void> {
  for (;;) {
    await sleep(retryDelayMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const silent = pool.list().filter(({ name }) => !reading.has(name));
    await Promise.all(
      silent.map(async (node) => {
        if ((await isReachable(node)) && !signal.aborted) ask(node);
      }),
    );
  }
}

/**
 * The flows of all nodes in order of time, as bytes. First it says which nodes are asked, and which cannot be. Filters and
 * masks go to the nodes; what is wrong with them is refused here, before any node is bothered.
 */
export async function* relayFlows(options: RelayRequest): AsyncGenerator<Buffer> {
  const { pool, request, signal, node, waitMs } = options;
  compileFilters(request);
  compileFieldMask(request.fieldMask?.paths);
  if (request.first && request.follow) {
    throw new WeirError('INVALID_ARGUMENT', 'first cannot be specified with follow');
  }
  const nodes = pool.list();
  const reachable = await Promise.all(nodes.map(isReachable));
  const merge = createMerge<TimedResponse>({ waitMs, itemsMax: itemsMaxFor(nodes.length), signal });
  const [connected, unavailable] = [true, false].map((wanted) =>
    nodes.filter((_, index) => reachable[index] === wanted),
  );
  for (const [stateChange, which] of [
    [NodeState.NODE_CONNECTED, connected],
    [NodeState.NODE_UNAVAILABLE, unavailable],
  ] as const) {
    const nodeNames = which?.map(({ name }) => name) ?? [];
    if (nodeNames.length > 0) yield statusResponse(node, { stateChange, nodeNames }).bytes;
  }
  const errors = createNodeErrors({
    ...{ quietMs: options.errorQuietMs, windowMs: options.errorWindowMs, clock: systemClock },
    report: (nodeNames, message) =>
      merge.announce(statusResponse(node, { stateChange: NodeState.NODE_ERROR, nodeNames: [...nodeNames], message })),
  });
  const query: Query = { ...options, given: new Map(), errors };
  const reading = new Map<string, Promise<void>>();
  const ask = (each: PooledNode): void => {
    const read = readNode(merge, each, query).finally(() => reading.delete(each.name));
    reading.set(each.name, read);
  };
  connected?.forEach(ask);
  if (request.follow) void keepAsking(reading, ask, query);
  else void Promise.all(reading.values()).then(() => (errors.flush(), merge.close()));
  try {
    for await (const { bytes } of merge) yield bytes;
  } finally {
    errors.close();
  }
}
