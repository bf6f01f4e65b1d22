// SPDX-License-Identifier: Apache-2.0
import { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { convertLegacyOtlpGrpcOptions, createOtlpGrpcExportDelegate } from '@opentelemetry/otlp-grpc-exporter-base';
import { MetricsExporterMetricsHelper, ProtobufMetricsSerializer } from '@opentelemetry/otlp-transformer';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { grpcOptions, httpOptions, type OtlpEndpoint } from './exporters.ts';

const grpcPath = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';

function delegateFor(otlp: OtlpEndpoint) {
  if (otlp.kind === 'grpc') {
    const options = convertLegacyOtlpGrpcOptions(grpcOptions(otlp), 'METRICS');
    return createOtlpGrpcExportDelegate(
      ...([options, ProtobufMetricsSerializer, 'otlp_grpc_metric_exporter', MetricsExporterMetricsHelper] as const),
      ...([undefined, 'MetricsExportService', grpcPath] as const),
    );
  }
  const headers = { 'Content-Type': 'application/x-protobuf' };
  const options = convertLegacyHttpOptions(httpOptions(otlp, 'metrics'), 'METRICS', 'v1/metrics', headers);
  return createOtlpHttpExportDelegate(
    ...([options, ProtobufMetricsSerializer, 'otlp_http_metric_exporter', MetricsExporterMetricsHelper] as const),
    undefined,
  );
}

const pointsIn = ({ scopeMetrics }: ResourceMetrics): number =>
  scopeMetrics.flatMap(({ metrics }) => metrics).reduce((sum, { dataPoints }) => sum + dataPoints.length, 0);

/**
 * Sends metrics to a collector, and says of each export how many points it had. The values are sums since the start: what an
 * outage keeps from the collector, the first export behind it brings.
 */
export function createMetricExporter(
  otlp: OtlpEndpoint,
  onExported: (points: number, error: Error | undefined) => void,
): PushMetricExporter {
  const exporter = new OTLPExporterBase<ResourceMetrics>(delegateFor(otlp));
  return {
    export(metrics, done) {
      const points = pointsIn(metrics);
      exporter.export(metrics, (result) => {
        onExported(points, result.code === 0 ? undefined : (result.error ?? new Error('unknown error')));
        done(result);
      });
    },
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}
