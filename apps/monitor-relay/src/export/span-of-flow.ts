// SPDX-License-Identifier: Apache-2.0
import { type Attributes, type HrTime, SpanKind, type SpanStatus, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { Flow } from '@weir/flow';
import { flow } from '@weir/proto';
import { createResources, endAttributes, hrTimeOf, instrumentationScope, verdictAttributes } from './flow-origin.ts';
import { isSampled, ownContext, parentOf } from './trace-parent.ts';

const { L7FlowType, TrafficDirection, Verdict } = flow;

const second = 1e9;

/** Seconds and nanoseconds before a time. */
function before([seconds, nanos]: HrTime, durationNs: number): HrTime {
  const left = nanos - (durationNs % second);
  return [seconds - Math.floor(durationNs / second) - (left < 0 ? 1 : 0), left < 0 ? left + second : left];
}

function httpAttributes({ IP, l4, l7 }: Flow): Attributes {
  const { method, url, protocol, code } = l7?.http ?? {};
  const parsed = URL.parse(url ?? '');
  return {
    'http.request.method': method ?? '',
    'url.full': url ?? '',
    ...(parsed && { 'url.path': parsed.pathname, 'url.scheme': 'http', 'server.address': parsed.hostname }),
    ...(parsed?.search && { 'url.query': parsed.search.slice(1) }),
    ...(code && { 'http.response.status_code': code }),
    'network.protocol.name': 'http',
    'network.protocol.version': (protocol ?? '').replace('HTTP/', ''),
    // An answer goes from the server to the client.
    'network.peer.address': IP?.source ?? '',
    'server.port': l4?.TCP?.sourcePort ?? 0,
    'client.address': IP?.destination ?? '',
    'client.port': l4?.TCP?.destinationPort ?? 0,
  };
}

/** By the conventions for HTTP: whose fault it is depends on whose span it is. */
function statusOf({ l7, verdict }: Flow, kind: SpanKind): SpanStatus {
  const code = l7?.http?.code ?? 0;
  if (verdict === Verdict.ERROR || code === 0) return { code: SpanStatusCode.ERROR, message: 'no answer' };
  const isError = code >= (kind === SpanKind.SERVER ? 500 : 400);
  return { code: isError ? SpanStatusCode.ERROR : SpanStatusCode.UNSET };
}

/** Makes spans out of calls: of the server where a call came in, of the client where it went out. */
export function createSpans({ sampleRatio }: { readonly sampleRatio: number }) {
  const resourceOf = createResources();
  return (each: Flow): ReadableSpan | undefined => {
    const { l7, source, destination, trafficDirection } = each;
    // The answer knows all of a call.
    if (l7?.type !== L7FlowType.RESPONSE || !l7.http) return undefined;
    const parent = parentOf(each);
    const context = ownContext(each, parent);
    if (!isSampled(context, parent, sampleRatio)) return undefined;
    const kind = trafficDirection === TrafficDirection.EGRESS ? SpanKind.CLIENT : SpanKind.SERVER;
    const durationNs = l7.latencyNs ?? 0;
    const endTime = hrTimeOf(each);
    return {
      name: l7.http.method ?? 'HTTP',
      ...{ kind, spanContext: () => context, ...(parent && { parentSpanContext: parent }) },
      ...{ startTime: before(endTime, durationNs), endTime, ended: true },
      duration: [Math.floor(durationNs / second), durationNs % second],
      status: statusOf(each, kind),
      attributes: {
        ...httpAttributes(each),
        // Of the call, not of its answer: from the client to the server.
        ...endAttributes('source', destination),
        ...endAttributes('destination', source),
        ...verdictAttributes(each),
      },
      ...{ links: [], events: [], droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
      resource: resourceOf(kind === SpanKind.SERVER ? source : destination, each),
      instrumentationScope,
    };
  };
}
