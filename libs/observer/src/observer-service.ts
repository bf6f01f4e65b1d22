// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { compileFieldMask, compileFilters, type Flow, timestampOf } from '@weir/flow';
import { flow, observer, ObserverDefinition } from '@weir/proto';
import { type Handlers, type RpcService, rpcService } from '@weir/rpc';
import { type EventRing, type RecordKind, recordKind } from './event-ring.ts';
import { createFlowEncoder, type FlowEncoder } from './flow-encoder.ts';
import { isFlowKind, type RingQuery, runQuery } from './flow-query.ts';
import { createFlowRate } from './flow-rate.ts';
import { createSeenNamespaces } from './seen-namespaces.ts';

export interface ObserverOptions {
  readonly ring: EventRing;
  /** The flow of a record, decoded as far as it is looked at. */
  readonly flowAt: (number: number) => Flow;
  readonly node: string;
  /** As in `weir v0.1.0`. */
  readonly version: string;
}

/** The observer of a node, with what it must do now and then. */
export interface Observer {
  readonly service: RpcService;
  /** Flows of the last minute a second, and what is in the ring. */
  status(): observer.ServerStatusResponse.$Properties;
  close(): void;
}

// Flows leave as bytes: see FlowEncoder.
const asBytes = (bytes: Buffer): Buffer => bytes;
const definition = {
  ...ObserverDefinition,
  getFlows: { ...ObserverDefinition.getFlows, responseSerialize: asBytes },
} as const;

const { LostEventSource } = flow;
const lostKinds: ReadonlySet<RecordKind> = new Set([recordKind.lost]);
const sampleMs = 1_000;
// What is in the ring is gone through so often that nothing is overwritten unseen at usual rates.
const namespaceRecordsMax = 4_096;

const timeOfNs = (ns: number) => timestampOf(ns / 1e6);

function lostResponse(lostEvents: flow.LostEvent.$Properties, { node, ns }: { node: string; ns: number }): Buffer {
  return Buffer.from(observer.GetFlowsResponse.encode({ lostEvents, nodeName: node, time: timeOfNs(ns) }).finish());
}

function maskedResponse(each: Flow): Buffer {
  const { nodeName, time } = each;
  const response = { flow: each, ...(nodeName ? { nodeName } : {}), ...(time ? { time } : {}) };
  return Buffer.from(observer.GetFlowsResponse.encode(response).finish());
}

type FlowCall = ObserverOptions & { readonly encoder: FlowEncoder };

async function* getFlows(
  { ring, flowAt, node, encoder }: FlowCall,
  { request, signal }: { readonly request: observer.GetFlowsRequest; readonly signal: AbortSignal },
): AsyncGenerator<Buffer> {
  const isWantedFlow = compileFilters(request);
  const mask = compileFieldMask(request.fieldMask?.paths);
  const isWanted = (number: number): boolean => isFlowKind(ring.kindOf(number)) && isWantedFlow(flowAt(number));
  for await (const found of runQuery({ ring, query: request, isWanted, always: lostKinds, signal })) {
    if (found.kind === 'missed') {
      const { count, firstNs, lastNs } = found;
      const source = LostEventSource.HUBBLE_RING_BUFFER;
      const range = { first: timeOfNs(firstNs), last: timeOfNs(lastNs) };
      yield lostResponse({ source, numEventsLost: count, ...range }, { node, ns: Date.now() * 1e6 });
    } else if (ring.kindOf(found.number) === recordKind.lost) {
      yield lostResponse(ring.valueOf(found.number) as flow.LostEvent.$Properties, {
        node,
        ns: ring.timeNsOf(found.number),
      });
    } else {
      const each = flowAt(found.number);
      yield mask === undefined ? encoder.encode(each) : maskedResponse(mask(each));
    }
  }
}

/** Records of one kind that are no flows. */
async function* getEvents<Value>(
  { ring, node }: ObserverOptions,
  { request, kind, signal }: { readonly request: RingQuery; readonly kind: RecordKind; readonly signal: AbortSignal },
) {
  const isWanted = (at: number): boolean => ring.kindOf(at) === kind;
  for await (const found of runQuery({ ring, query: request, isWanted, signal })) {
    if (found.kind === 'missed') continue;
    yield { value: ring.valueOf(found.number) as Value, nodeName: node, time: timeOfNs(ring.timeNsOf(found.number)) };
  }
}

/** Makes the observer of one node: flows, agent events, namespaces and status out of its ring. */
export function createObserver(options: ObserverOptions): Observer {
  const { ring, flowAt, version } = options;
  const startedMs = performance.now();
  const rate = createFlowRate();
  const namespaces = createSeenNamespaces();
  const encoder = createFlowEncoder();
  let namespacesUpTo = 0;

  const noteNamespaces = (): void => {
    const from = Math.max(namespacesUpTo, ring.oldest, ring.next - namespaceRecordsMax);
    for (let at = from; at < ring.next; at++) if (isFlowKind(ring.kindOf(at))) namespaces.add(flowAt(at));
    namespacesUpTo = ring.next;
  };
  const timer = setInterval(() => {
    rate.sample(ring.seenFlows);
    noteNamespaces();
  }, sampleMs);
  timer.unref();

  const status = (): observer.ServerStatusResponse.$Properties => ({
    numFlows: ring.next - ring.oldest,
    maxFlows: ring.capacity,
    seenFlows: ring.seenFlows,
    uptimeNs: Math.round((performance.now() - startedMs) * 1e6),
    version,
    flowsRate: rate.perSecond(ring.seenFlows),
  });

  const handlers: Handlers<typeof definition> = {
    getFlows: (request, { signal }) => getFlows({ ...options, encoder }, { request, signal }),
    async *getAgentEvents(request, { signal }) {
      for await (const { value, ...at } of getEvents<flow.AgentEvent.$Properties>(options, {
        request,
        kind: recordKind.agentEvent,
        signal,
      })) {
        yield { agentEvent: value, ...at };
      }
    },
    async *getDebugEvents(request, { signal }) {
      for await (const { value, ...at } of getEvents<flow.DebugEvent.$Properties>(options, {
        request,
        kind: recordKind.debugEvent,
        signal,
      })) {
        yield { debugEvent: value, ...at };
      }
    },
    getNodes() {
      // In the words of Hubble's server: the nodes are the relay's to tell of.
      throw new WeirError('NOT_SUPPORTED', 'GetNodes not implemented');
    },
    getNamespaces() {
      noteNamespaces();
      return { namespaces: namespaces.list() };
    },
    serverStatus: status,
  };
  return { service: rpcService(definition, handlers), status, close: () => clearInterval(timer) };
}
