// SPDX-License-Identifier: Apache-2.0
// Takes OTLP over gRPC and over HTTP, and Zipkin's spans, as a collector does.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

type Attributes = Record<string, unknown>;

/** A span as it came. */
export interface ReceivedSpan {
  readonly service: unknown;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startNs: bigint;
  readonly durationNs: bigint;
  readonly status: number;
  readonly attributes: Attributes;
}

/** A log record as it came. */
export interface ReceivedLog {
  readonly service: unknown;
  readonly body: unknown;
  readonly severity: string;
  readonly traceId: string;
  readonly attributes: Attributes;
}

/** A point of a histogram as it came. */
export interface ReceivedHistogram {
  readonly service: unknown;
  readonly name: string;
  readonly unit: string;
  readonly count: number;
  readonly sum: number;
  readonly buckets: readonly number[];
  readonly bounds: readonly number[];
  readonly isCumulative: boolean;
  readonly attributes: Attributes;
}

interface Value {
  readonly arrayValue?: { readonly values: readonly Value[] };
}
interface KeyValue {
  readonly key: string;
  readonly value: Value;
}
interface WireResource {
  readonly attributes: readonly KeyValue[];
}
interface WireSpan extends WireResource {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly parentSpanId: Uint8Array;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: number;
  readonly endTimeUnixNano: number;
  readonly status: { readonly code: number } | null;
}
interface WireLog extends WireResource {
  readonly body: Value | null;
  readonly severityText: string;
  readonly traceId: Uint8Array;
}
interface WireMetric {
  readonly name: string;
  readonly unit: string;
  readonly histogram: {
    readonly aggregationTemporality: number;
    readonly dataPoints: readonly (WireResource & {
      readonly count: number;
      readonly sum: number;
      readonly bucketCounts: readonly number[];
      readonly explicitBounds: readonly number[];
    })[];
  } | null;
}
interface Message {
  readonly resourceMetrics?: readonly {
    readonly resource: WireResource;
    readonly scopeMetrics: readonly { readonly metrics: readonly WireMetric[] }[];
  }[];
  readonly resourceSpans?: readonly {
    readonly resource: WireResource;
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
  readonly resourceLogs?: readonly {
    readonly resource: WireResource;
    readonly scopeLogs: readonly { readonly logRecords: readonly WireLog[] }[];
  }[];
}

const { root } = protobuf.parse(readFileSync(join(import.meta.dirname, 'otlp.proto'), 'utf8'));
const typeOf = (name: string): protobuf.Type => root.lookupType(`otlp.${name}`);
const decode = (name: string, bytes: Uint8Array): Message =>
  typeOf(name).toObject(typeOf(name).decode(bytes), { defaults: true, longs: Number }) as Message;

function valueOf(value: Value): unknown {
  if (value.arrayValue) return value.arrayValue.values.map(valueOf);
  const [found] = Object.values(value) as unknown[];
  return found;
}
const attributesOf = ({ attributes }: WireResource): Attributes =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const bitsOf = (double: number): bigint => new BigUint64Array(Float64Array.of(double).buffer)[0] ?? 0n;

const spansIn = ({ resourceSpans = [] }: Message): ReceivedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        service: attributesOf(resource)['service.name'],
        ...{ traceId: hex(span.traceId), spanId: hex(span.spanId), parentSpanId: hex(span.parentSpanId) },
        ...{ name: span.name, kind: span.kind, status: span.status?.code ?? 0 },
        startNs: bitsOf(span.startTimeUnixNano),
        durationNs: bitsOf(span.endTimeUnixNano) - bitsOf(span.startTimeUnixNano),
        attributes: attributesOf(span),
      })),
    ),
  );

const logsIn = ({ resourceLogs = [] }: Message): ReceivedLog[] =>
  resourceLogs.flatMap(({ resource, scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) =>
      logRecords.map((record) => ({
        service: attributesOf(resource)['service.name'],
        ...{ body: valueOf(record.body ?? {}), severity: record.severityText },
        ...{ traceId: hex(record.traceId), attributes: attributesOf(record) },
      })),
    ),
  );

const histogramsIn = ({ resourceMetrics = [] }: Message): ReceivedHistogram[] =>
  resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .flatMap(({ name, unit, histogram }) =>
        (histogram?.dataPoints ?? []).map((point) => ({
          ...{ service: attributesOf(resource)['service.name'], name, unit },
          ...{ count: point.count, sum: point.sum, buckets: point.bucketCounts, bounds: point.explicitBounds },
          isCumulative: histogram?.aggregationTemporality === 2,
          attributes: attributesOf(point),
        })),
      ),
  );

/** A collector that remembers. */
export interface OtlpReceiver {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly spans: ReceivedSpan[];
  readonly logs: ReceivedLog[];
  /** Each point of each export. */
  readonly histograms: ReceivedHistogram[];
  /** Zipkin's spans. */
  readonly zipkin: Record<string, unknown>[];
  /** While true, everything is refused. */
  isAway: boolean;
  close(): Promise<void>;
}

function serveGrpc(receiver: Pick<OtlpReceiver, 'spans' | 'logs' | 'histograms' | 'isAway'>): Server {
  const server = new Server();
  const serviceOf = (name: string, [type, take]: readonly [string, (message: Message) => void]): void => {
    const signal = name.toLowerCase();
    const path = `/opentelemetry.proto.collector.${signal}.v1.${name}Service/Export`;
    const definition = {
      Export: {
        ...{ path, requestStream: false, responseStream: false },
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => decode(type, bytes),
        responseSerialize: () => Buffer.alloc(0),
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    };
    server.addService(definition, {
      Export(call: { request: Message }, callback: (error: object | null, response?: object) => void) {
        if (receiver.isAway) return callback({ code: 14, details: 'away' });
        take(call.request);
        callback(null, {});
      },
    });
  };
  serviceOf('Trace', ['ExportTraces', (message) => receiver.spans.push(...spansIn(message))]);
  serviceOf('Logs', ['ExportLogs', (message) => receiver.logs.push(...logsIn(message))]);
  serviceOf('Metrics', ['ExportMetrics', (message) => receiver.histograms.push(...histogramsIn(message))]);
  return server;
}

/** Listens on ports of its own, on an address. */
export async function startOtlpReceiver(host = '127.0.0.1'): Promise<OtlpReceiver> {
  const receiver = { grpcPort: 0, httpPort: 0, spans: [], logs: [], histograms: [], zipkin: [], isAway: false } as Omit<
    OtlpReceiver,
    'grpcPort' | 'httpPort' | 'close'
  > & { grpcPort: number; httpPort: number };
  const grpc = serveGrpc(receiver);
  receiver.grpcPort = await new Promise((resolve, reject) => {
    grpc.bindAsync(`${host}:0`, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
  const http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      if (receiver.isAway) return response.writeHead(503).end();
      if (request.url === '/v1/traces') receiver.spans.push(...spansIn(decode('ExportTraces', body)));
      else if (request.url === '/v1/logs') receiver.logs.push(...logsIn(decode('ExportLogs', body)));
      else if (request.url === '/v1/metrics') receiver.histograms.push(...histogramsIn(decode('ExportMetrics', body)));
      else receiver.zipkin.push(...(JSON.parse(body.toString()) as Record<string, unknown>[]));
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => http.listen({ host, port: 0 }, resolve));
  receiver.httpPort = (http.address() as { port: number }).port;
  return Object.assign(receiver, {
    async close() {
      grpc.forceShutdown();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  });
}
