// SPDX-License-Identifier: Apache-2.0
import type { Attributes, Histogram } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ViewOptions,
} from '@opentelemetry/sdk-metrics';
import type { Flow, FlowEndpoint } from '@weir/flow';
import { flow } from '@weir/proto';
import { instrumentationScope, serviceNameOf } from './flow-origin.ts';

/** Rate, errors and duration of calls, by who called whom. */
export interface CallMetrics {
  observe(each: Flow): void;
  /** Sends what there is, and ends. */
  close(): Promise<void>;
}

export interface CallMetricsOptions {
  readonly exporter: PushMetricExporter;
  /** Of the relay. */
  readonly instance: string;
  readonly intervalMs: number;
  /** Series of one metric; what would be more is counted in one that says `otel.metric.overflow`. */
  readonly seriesMax: number;
}

const { L7FlowType, TrafficDirection, Verdict } = flow;
// What the conventions advise, in seconds.
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const knownMethods = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE']);
const exportTimeoutMillis = 10_000;

/** Whoever is one of many and not a workload of the cluster is told by what it is, and not by its address. */
const endOf = (role: string, end: FlowEndpoint | null | undefined): Attributes => ({
  [`weir.${role}.service`]: serviceNameOf(end),
  ...(end?.namespace && { [`weir.${role}.namespace`]: end.namespace }),
});

/** Why a call counts as failed; whose fault it is depends on whose side this is. */
function errorOf({ l7, verdict }: Flow, isServer: boolean): Attributes {
  const code = l7?.http?.code ?? 0;
  if (verdict === Verdict.ERROR || code === 0) return { 'error.type': 'no_answer' };
  return code >= (isServer ? 500 : 400) ? { 'error.type': String(code) } : {};
}

function attributesOf(each: Flow, isServer: boolean): Attributes {
  const { method = '', code, protocol } = each.l7?.http ?? {};
  return {
    'http.request.method': knownMethods.has(method ?? '') ? (method ?? '') : '_OTHER',
    ...(code && { 'http.response.status_code': code }),
    ...errorOf(each, isServer),
    ...{ 'network.protocol.name': 'http', 'network.protocol.version': (protocol ?? '').replace('HTTP/', '') },
    'url.scheme': 'http',
    // Of the call, and an answer goes from the server to the client.
    ...endOf('source', each.destination),
    ...endOf('destination', each.source),
  };
}

/** Counts calls by the conventions for HTTP: as the server's where a policy looked at them on their way in, else the client's. */
export function createCallMetrics({ exporter, instance, intervalMs, seriesMax }: CallMetricsOptions): CallMetrics {
  const view: ViewOptions = {
    instrumentName: 'http.*.request.duration',
    aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries } },
    aggregationCardinalityLimit: seriesMax,
  };
  const timeout = Math.min(exportTimeoutMillis, intervalMs);
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': 'weir-monitor-relay', 'service.instance.id': instance }),
    readers: [
      new PeriodicExportingMetricReader({
        ...{ exporter, exportIntervalMillis: intervalMs, exportTimeoutMillis: timeout },
      }),
    ],
    views: [view],
  });
  const meter = provider.getMeter(instrumentationScope.name);
  const histogramOf = (side: 'server' | 'client'): Histogram =>
    meter.createHistogram(`http.${side}.request.duration`, {
      ...{ unit: 's', description: `Duration of HTTP calls, from the side of the ${side}` },
    });
  const [server, client] = [histogramOf('server'), histogramOf('client')];

  return {
    observe(each) {
      // The answer knows all of a call.
      if (each.l7?.type !== L7FlowType.RESPONSE || !each.l7.http) return;
      const isServer = each.trafficDirection !== TrafficDirection.EGRESS;
      (isServer ? server : client).record((each.l7.latencyNs ?? 0) / 1e9, attributesOf(each, isServer));
    },
    close: () => provider.shutdown().catch(() => undefined),
  };
}
