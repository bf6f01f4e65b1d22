// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { checkedFlag } from '@weir/service';
import { Option } from 'commander';
import { type OtlpEndpoint, parseOtlpEndpoint } from './exporters.ts';
import type { ExportOptions } from './flow-exporter.ts';

/** What the flags of {@link exportFlags} say. */
export interface ExportFlags {
  readonly otlpEndpoint?: OtlpEndpoint;
  readonly zipkinEndpoint?: string;
  readonly export: ExportOptions['signals'];
  readonly traceSampleRatio: number;
  readonly exportRateMax: number;
  readonly exportQueueMax: number;
  readonly exportMetricsInterval: number;
  readonly exportSeriesMax: number;
}

const signalNames = ['traces', 'logs', 'metrics'] as const;
const refuse = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

const numberBetween = ({ min, max }: { readonly min: number; readonly max: number }) =>
  checkedFlag((text) => {
    const number = Number(text);
    if (text.trim() !== '' && number >= min && number <= max) return number;
    throw refuse(`"${text}" is not a number from ${min} to ${max}`);
  });

/** Where flows are exported to, which, and how many of them. */
export const exportFlags = (): readonly Option[] => [
  new Option('--otlp-endpoint <url>', 'OpenTelemetry collector: grpc(s)://host:4317 or http(s)://host:4318').argParser(
    checkedFlag(parseOtlpEndpoint),
  ),
  new Option('--zipkin-endpoint <url>', 'Zipkin for traces: http(s)://host:9411/api/v2/spans').argParser(
    checkedFlag((text) => {
      if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text;
      throw refuse(`"${text}" is no URL of http or https`);
    }),
  ),
  new Option(
    '--export <signals>',
    'what is exported, with commas: traces (of calls), logs (of flows), metrics (of calls)',
  )
    .default(['traces'], 'traces')
    .argParser(
      checkedFlag((text) => {
        const names = text.split(',');
        const wrong = names.find((name) => !signalNames.some((known) => known === name));
        if (wrong === undefined) return names as ExportOptions['signals'];
        throw refuse(`"${wrong}" is none of ${signalNames.join(', ')}`);
      }),
    ),
  new Option('--trace-sample-ratio <share>', 'share of the traces that are exported about which no client has decided')
    .default(1)
    .argParser(numberBetween({ min: 0, max: 1 })),
  new Option('--export-rate-max <number>', 'spans, and log records, that are exported a second')
    .default(1_000)
    .argParser(numberBetween({ min: 1, max: 1_000_000 })),
  new Option('--export-queue-max <number>', 'spans, and log records, that wait while nobody takes them')
    .default(8_192)
    .argParser(numberBetween({ min: 1, max: 1_000_000 })),
  new Option('--export-metrics-interval <seconds>', 'time between two exports of metrics')
    .default(15)
    .argParser(numberBetween({ min: 0.1, max: 3_600 })),
  new Option('--export-series-max <number>', 'series of one exported metric; calls beyond are counted in one of all')
    .default(2_000)
    .argParser(numberBetween({ min: 1, max: 100_000 })),
];

/** What is to be exported; undefined: nothing. INVALID_ARGUMENT for signals that nobody is to get. */
export function exportFromFlags(flags: ExportFlags): ExportOptions | undefined {
  const { otlpEndpoint: otlp, zipkinEndpoint: zipkin, export: signals } = flags;
  const ofOtlp = signals.find((signal) => signal !== 'traces');
  if (ofOtlp !== undefined && otlp === undefined) throw refuse(`--export ${ofOtlp} needs --otlp-endpoint`);
  if (otlp === undefined && zipkin === undefined) return undefined;
  const metrics = { intervalMs: 1_000 * flags.exportMetricsInterval, seriesMax: flags.exportSeriesMax };
  const limits = { rateMax: flags.exportRateMax, queueMax: flags.exportQueueMax, metrics };
  return { otlp, zipkin, signals, sampleRatio: flags.traceSampleRatio, ...limits };
}
