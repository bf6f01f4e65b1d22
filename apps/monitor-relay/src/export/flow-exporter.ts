// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Flow } from '@weir/flow';
import type { Logger } from '@weir/telemetry';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { FlowSink } from '../flow-feed.ts';
import { type CallMetrics, type CallMetricsOptions, createCallMetrics } from './call-metrics.ts';
import { createExportQueue, type ExportQueue } from './export-queue.ts';
import { type Destination, logDestination, type OtlpEndpoint, spanDestinations } from './exporters.ts';
import { createLogRecords } from './log-of-flow.ts';
import { createMetricExporter } from './metric-exporter.ts';
import { createSpans } from './span-of-flow.ts';

/** What is exported, and where to. */
export interface ExportOptions {
  readonly otlp: OtlpEndpoint | undefined;
  readonly zipkin: string | undefined;
  readonly signals: readonly ('traces' | 'logs' | 'metrics')[];
  /** The share of traces about which nobody has decided. */
  readonly sampleRatio: number;
  /** Spans, and log records, a second. */
  readonly rateMax: number;
  /** Spans, and log records, that wait. */
  readonly queueMax: number;
  readonly metrics: Pick<CallMetricsOptions, 'intervalMs' | 'seriesMax'>;
}

/** Exports flows; `close` sends what is left. */
export interface FlowExporter extends FlowSink {
  close(): Promise<void>;
}

const batchMax = 512;
const times = { delayMs: 1_000, retryDelayMs: 1_000, attemptsMax: 8 };

function createCounters(registry: Registry) {
  const common = { registers: [registry] };
  const sent = new Counter({
    ...{
      name: 'weir_relay_exported_total',
      help: 'Spans, log records and points of metrics that were exported',
      ...common,
    },
    labelNames: ['signal', 'exporter'],
  });
  const lost = new Counter({
    ...{ name: 'weir_relay_export_lost_total', help: 'Those that were not, and why', ...common },
    labelNames: ['signal', 'exporter', 'reason'],
  });
  const queues: { readonly labels: { signal: string; exporter: string }; readonly queue: { length: number } }[] = [];
  new Gauge({
    ...{ name: 'weir_relay_export_queue', help: 'Spans and log records that wait', ...common },
    labelNames: ['signal', 'exporter'],
    collect() {
      for (const { labels, queue } of queues) this.set(labels, queue.length);
    },
  });
  return { sent, lost, queues };
}

/** Rate, errors and duration of calls as metrics of OTLP. What an outage keeps back is sent behind it, and counted as failed. */
function createMetricsSignal(
  { otlp, signals, metrics }: ExportOptions,
  deps: ExporterDeps & { readonly counters: ReturnType<typeof createCounters> },
): CallMetrics | undefined {
  const { counters, logger, instance } = deps;
  if (otlp === undefined || !signals.includes('metrics')) return undefined;
  const labels = { signal: 'metrics', exporter: 'otlp' };
  const exporter = createMetricExporter(otlp, (points, error) => {
    if (error === undefined) return counters.sent.inc(labels, points);
    counters.lost.inc({ ...labels, reason: 'failed' }, points);
    logger.warn({ error, service: 'otlp' }, 'Metrics are not exported');
  });
  return createCallMetrics({ exporter, instance, ...metrics });
}

interface ExporterDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Name of the relay. */
  readonly instance: string;
}

/** Makes an exporter of flows: calls become spans, flows log records. Never makes whoever gives it flows wait. */
export function createFlowExporter(options: ExportOptions, deps: ExporterDeps): FlowExporter {
  const { otlp, zipkin, signals, sampleRatio, rateMax, queueMax } = options;
  const { registry, clock, logger } = deps;
  const counters = createCounters(registry);
  const queueFor = <Item>(signal: string, { name, send }: Destination<Item>): ExportQueue<Item> => {
    const labels = { signal, exporter: name };
    const queue = createExportQueue<Item>({
      ...{ send, clock, itemsMax: queueMax, batchMax, rateMax, ...times },
      onSent: (count) => counters.sent.inc(labels, count),
      onLost: (count, reason) => counters.lost.inc({ ...labels, reason }, count),
      onFailed: (error) => logger.warn({ error, service: name }, 'Flows are not exported'),
    });
    counters.queues.push({ labels, queue });
    return queue;
  };
  const forSpans = signals.includes('traces')
    ? spanDestinations({ ...(otlp && { otlp }), ...(zipkin && { zipkin }) })
    : [];
  const forLogs = otlp !== undefined && signals.includes('logs') ? [logDestination(otlp)] : [];
  const spanQueues = forSpans.map((to) => queueFor('traces', to));
  const logQueues = forLogs.map((to) => queueFor('logs', to));
  const spanOf = createSpans({ sampleRatio });
  const callMetrics = createMetricsSignal(options, { ...deps, counters });
  const recordOf = createLogRecords();
  return {
    flow(each: Flow) {
      const span = spanQueues.length > 0 ? spanOf(each) : undefined;
      if (span !== undefined) for (const queue of spanQueues) queue.push(span);
      for (const queue of logQueues) queue.push(recordOf(each));
      callMetrics?.observe(each);
    },
    lost: () => undefined,
    async close() {
      await Promise.all(
        [...spanQueues, ...logQueues, ...(callMetrics ? [callMetrics] : [])].map((each) => each.close()),
      );
      await Promise.allSettled([...forSpans, ...forLogs].map((to) => to.close()));
    },
  };
}
