// SPDX-License-Identifier: Apache-2.0
import { credentials } from '@grpc/grpc-js';
import { OTLPLogExporter as GrpcLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as HttpLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPTraceExporter as GrpcTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as HttpTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { ZipkinExporter } from '@opentelemetry/exporter-zipkin';
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { WeirError } from '@weir/errors';
import type { Send } from './export-queue.ts';

interface Exporter<Item> {
  export(items: Item[], done: (result: { code: number; error?: Error }) => void): void;
  shutdown(): Promise<void>;
}

/** Sends items of one kind to one place. */
export interface Destination<Item> {
  readonly name: 'otlp' | 'zipkin';
  readonly send: Send<Item>;
  close(): Promise<void>;
}

const succeeded = 0;
const timeoutMillis = 10_000;
const concurrencyLimit = 1;

function destination<Item>(name: Destination<Item>['name'], exporter: Exporter<Item>): Destination<Item> {
  return {
    name,
    send: (batch) =>
      new Promise((resolve, reject) => {
        exporter.export([...batch], ({ code, error }) => {
          if (code === succeeded) return resolve();
          reject(new WeirError('UNAVAILABLE', `Export fails: ${error?.message ?? 'unknown error'}`, { cause: error }));
        });
      }),
    close: () => exporter.shutdown(),
  };
}

/** Where OTLP goes. `grpc://host:port`, `grpcs://…`, or a URL of HTTP, behind which the usual paths of signals are added. */
export type OtlpEndpoint =
  | { readonly kind: 'grpc'; readonly url: string; readonly isEncrypted: boolean }
  | { readonly kind: 'http'; readonly url: string };

/** Reads an endpoint. INVALID_ARGUMENT for anything else. */
export function parseOtlpEndpoint(text: string): OtlpEndpoint {
  const parsed = URL.parse(text);
  if (parsed?.host && (parsed.protocol === 'grpc:' || parsed.protocol === 'grpcs:')) {
    return { kind: 'grpc', url: `http://${parsed.host}`, isEncrypted: parsed.protocol === 'grpcs:' };
  }
  if (parsed?.host && (parsed.protocol === 'http:' || parsed.protocol === 'https:')) {
    return { kind: 'http', url: text.replace(/\/+$/, '') };
  }
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is neither grpc(s)://host:port nor a URL of http or https`);
}

/** What a connection of gRPC is made with. */
export const grpcOptions = ({ url, isEncrypted }: OtlpEndpoint & { readonly kind: 'grpc' }) => ({
  ...{ url, timeoutMillis, concurrencyLimit },
  credentials: isEncrypted ? credentials.createSsl() : credentials.createInsecure(),
});

/** What a signal is sent by HTTP with. */
export const httpOptions = ({ url }: { readonly url: string }, signal: 'traces' | 'logs' | 'metrics') => ({
  ...{ url: `${url}/v1/${signal}`, timeoutMillis, concurrencyLimit },
});

/** Where spans go. */
export function spanDestinations(to: { otlp?: OtlpEndpoint; zipkin?: string }): readonly Destination<ReadableSpan>[] {
  const { otlp, zipkin } = to;
  return [
    ...(otlp?.kind === 'grpc' ? [destination('otlp', new GrpcTraceExporter(grpcOptions(otlp)))] : []),
    ...(otlp?.kind === 'http' ? [destination('otlp', new HttpTraceExporter(httpOptions(otlp, 'traces')))] : []),
    ...(zipkin === undefined ? [] : [destination('zipkin', new ZipkinExporter({ url: zipkin }))]),
  ];
}

/** Where log records go. */
export function logDestination(otlp: OtlpEndpoint): Destination<ReadableLogRecord> {
  if (otlp.kind === 'grpc') return destination('otlp', new GrpcLogExporter(grpcOptions(otlp)));
  return destination('otlp', new HttpLogExporter(httpOptions(otlp, 'logs')));
}
