// SPDX-License-Identifier: Apache-2.0
// What a collector gets of flows, over real connections and in the published protocols.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import type { Flow } from '@weir/flow';
import { flow } from '@weir/proto';
import { createLogger } from '@weir/telemetry';
import { Registry } from 'prom-client';
import { type OtlpReceiver, startOtlpReceiver } from '@weir/otlp-receiver';
import { parseOtlpEndpoint } from './exporters.ts';
import { createFlowExporter, type ExportOptions, type FlowExporter } from './flow-exporter.ts';

const { Verdict, TrafficDirection, L7FlowType, FlowType } = flow;
const logger = createLogger({ service: 'test', level: 'silent' });
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const span = '00f067aa0ba902b7';
const [serverKind, clientKind] = [2, 3];
const errorStatus = 2;

let receiver: OtlpReceiver;
let registry: Registry;
let exporter: FlowExporter | undefined;
beforeEach(async () => {
  receiver = await startOtlpReceiver();
  registry = new Registry();
});
afterEach(async () => {
  await exporter?.close();
  await receiver.close();
});

function start(options: Partial<ExportOptions> = {}): FlowExporter {
  exporter = createFlowExporter(
    {
      ...{ otlp: parseOtlpEndpoint(`grpc://127.0.0.1:${receiver.grpcPort}`), zipkin: undefined },
      ...{ signals: ['traces'], sampleRatio: 1, rateMax: 1_000, queueMax: 100 },
      ...{ metrics: { intervalMs: 60_000, seriesMax: 100 }, ...options },
    },
    { registry, clock: systemClock, logger, instance: 'relay-1' },
  );
  return exporter;
}
/** Sends what has been pushed. */
async function flush(): Promise<void> {
  await exporter?.close();
  exporter = undefined;
}

const client = { namespace: 'shop', podName: 'client-1', identity: 300, labels: ['k8s:app=client'] };
const server = { namespace: 'shop', podName: 'server-1', identity: 301, labels: ['k8s:app=server'] };
const answer = (code: number, traceparent?: string, uuid = 'u1'): Flow => ({
  ...{ time: { seconds: 1_700_000_000, nanos: 5_000_000 }, uuid, nodeName: 'n1', Type: FlowType.L7 },
  ...{ verdict: Verdict.FORWARDED, trafficDirection: TrafficDirection.INGRESS, source: server, destination: client },
  ...{ IP: { source: '10.0.0.2', destination: '10.0.0.1' }, Summary: 'HTTP/1.1 200', isReply: { value: true } },
  l4: { TCP: { sourcePort: 80, destinationPort: 40_000 } },
  l7: {
    ...{ type: L7FlowType.RESPONSE, latencyNs: 12_345_678 },
    http: {
      ...{ code, method: 'GET', url: 'http://shop/cart?id=1', protocol: 'HTTP/1.1' },
      headers: traceparent === undefined ? [] : [{ key: 'traceparent', value: traceparent }],
    },
  },
});
const dropped: Flow = {
  ...{ time: { seconds: 1 }, uuid: 'u2', Summary: 'TCP Flags: SYN', source: client, destination: server },
  ...{ verdict: Verdict.DROPPED, dropReason: 133, eventType: { type: 1, subType: 133 } },
  ...{ IP: { source: '10.0.0.1', destination: '10.0.0.2' }, l4: { TCP: { sourcePort: 1, destinationPort: 2 } } },
  ingressDeniedBy: [{ kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'closed' }],
};

describe.each(['grpc', 'http'] as const)('over OTLP in %s', (kind) => {
  const otlp = () =>
    parseOtlpEndpoint(
      kind === 'grpc' ? `grpc://127.0.0.1:${receiver.grpcPort}` : `http://127.0.0.1:${receiver.httpPort}`,
    );

  it('a call is a span of its server, with its real time and the parent that its client named', async () => {
    start({ otlp: otlp() }).flow(answer(200, `00-${trace}-${span}-01`));
    await flush();
    expect(receiver.spans).toEqual([
      {
        ...{ service: 'server', traceId: trace, parentSpanId: span, name: 'GET', kind: serverKind, status: 0 },
        ...{ spanId: expect.stringMatching(/^[0-9a-f]{16}$/), durationNs: 12_345_678n },
        startNs: 1_699_999_999_992_654_322n,
        attributes: expect.objectContaining({
          ...{
            'http.request.method': 'GET',
            'http.response.status_code': 200,
            'url.path': '/cart',
            'url.query': 'id=1',
          },
          ...{ 'server.address': 'shop', 'server.port': 80, 'client.address': '10.0.0.1', 'client.port': 40_000 },
          ...{ 'weir.source.pod': 'client-1', 'weir.destination.pod': 'server-1', 'weir.verdict': 'forwarded' },
        }),
      },
    ]);
  });

  it('flows are log records, with what was decided and by which policy', async () => {
    start({ otlp: otlp(), signals: ['logs'] }).flow(dropped);
    await flush();
    expect(receiver.logs).toEqual([
      {
        ...{ service: 'client', body: 'TCP Flags: SYN', severity: 'WARN', traceId: '' },
        attributes: expect.objectContaining({
          ...{ 'weir.verdict': 'dropped', 'weir.drop_reason': 'Policy denied', 'network.transport': 'tcp' },
          ...{ 'weir.policy.denied_by': ['CiliumNetworkPolicy/shop/closed'], 'destination.port': 2 },
        }),
      },
    ]);
  });
});

describe.each(['grpc', 'http'] as const)('metrics over OTLP in %s', (kind) => {
  const otlp = () =>
    parseOtlpEndpoint(
      kind === 'grpc' ? `grpc://127.0.0.1:${receiver.grpcPort}` : `http://127.0.0.1:${receiver.httpPort}`,
    );

  it('are rate, errors and duration of calls, by who called whom, of servers and of clients', async () => {
    const subject = start({ otlp: otlp(), signals: ['metrics'] });
    for (const code of [200, 200, 404, 503]) subject.flow(answer(code));
    subject.flow({ ...answer(404), trafficDirection: TrafficDirection.EGRESS });
    // Requests, drops and whatever is no answer of a call count for nothing.
    subject.flow({ ...answer(200), l7: { ...answer(200).l7, type: L7FlowType.REQUEST } });
    subject.flow(dropped);
    await flush();
    const call = {
      ...{ 'http.request.method': 'GET', 'url.scheme': 'http', 'network.protocol.version': '1.1' },
      ...{ 'network.protocol.name': 'http', 'weir.source.service': 'client', 'weir.destination.service': 'server' },
      ...{ 'weir.source.namespace': 'shop', 'weir.destination.namespace': 'shop' },
    };
    const point = (side: string, count: number, attributes: object) => ({
      ...{ service: 'weir-monitor-relay', name: `http.${side}.request.duration`, unit: 's', isCumulative: true },
      ...{ count, sum: expect.closeTo(count * 0.012345678), attributes: { ...call, ...attributes } },
      bounds: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
      buckets: [0, 0, count, ...new Array<number>(12).fill(0)],
    });
    expect(receiver.histograms).toEqual([
      point('server', 2, { 'http.response.status_code': 200 }),
      point('server', 1, { 'http.response.status_code': 404 }),
      point('server', 1, { 'http.response.status_code': 503, 'error.type': '503' }),
      point('client', 1, { 'http.response.status_code': 404, 'error.type': '404' }),
    ]);
    expect(await registry.metrics()).toContain('weir_relay_exported_total{signal="metrics",exporter="otlp"} 4');
  });

  it('have so many series at most, and lose no call by that', async () => {
    const subject = start({ otlp: otlp(), signals: ['metrics'], metrics: { intervalMs: 60_000, seriesMax: 5 } });
    for (let index = 0; index < 50; index++) {
      subject.flow({
        ...answer(200),
        source: { namespace: `n${index}`, podName: 'p', labels: [`k8s:app=app-${index}`] },
      });
    }
    await flush();
    expect(receiver.histograms).toHaveLength(5);
    expect(receiver.histograms.reduce((sum, { count }) => sum + count, 0)).toBe(50);
    expect(receiver.histograms.at(-1)?.attributes).toEqual({ 'otel.metric.overflow': true });
  });

  it('say all that was while the collector was away, as soon as it is back', async () => {
    receiver.isAway = true;
    const subject = start({ otlp: otlp(), signals: ['metrics'], metrics: { intervalMs: 100, seriesMax: 100 } });
    subject.flow(answer(200));
    const failed = /weir_relay_export_lost_total{signal="metrics",exporter="otlp",reason="failed"} [1-9]/;
    while (!failed.test(await registry.metrics())) await new Promise((resolve) => setTimeout(resolve, 20));
    receiver.isAway = false;
    subject.flow(answer(200));
    while (receiver.histograms.at(-1)?.count !== 2) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

it('whose fault an answer is depends on whose span it is', async () => {
  const subject = start();
  subject.flow(answer(404));
  subject.flow({ ...answer(404, undefined, 'u3'), trafficDirection: TrafficDirection.EGRESS });
  subject.flow(answer(500, undefined, 'u4'));
  await flush();
  expect(receiver.spans.map(({ kind, status, service }) => [kind, status, service])).toEqual(
    expect.arrayContaining([
      [serverKind, 0, 'server'],
      [clientKind, errorStatus, 'client'],
      [serverKind, errorStatus, 'server'],
    ]),
  );
});

it('Zipkin gets the same spans', async () => {
  start({ otlp: undefined, zipkin: `http://127.0.0.1:${receiver.httpPort}/api/v2/spans` }).flow(
    answer(200, `00-${trace}-${span}-01`),
  );
  await flush();
  expect(receiver.zipkin).toMatchObject([
    {
      ...{ traceId: trace, parentId: span, kind: 'SERVER', name: 'GET', duration: 12_346 },
      localEndpoint: { serviceName: 'server' },
    },
  ]);
});

it('a client decides about its own trace, and the ratio about those of nobody', async () => {
  const subject = start({ sampleRatio: 0 });
  subject.flow(answer(200, `00-${trace}-${span}-00`));
  subject.flow(answer(200));
  subject.flow(answer(200, `00-${trace}-${span}-01`, 'u5'));
  await flush();
  expect(receiver.spans.map(({ traceId }) => traceId)).toEqual([trace]);
});

it('the same call has the same identifiers, whoever exports it', async () => {
  for (let relay = 0; relay < 2; relay++) {
    start().flow(answer(200));
    await flush();
    registry = new Registry();
  }
  const [first, second] = receiver.spans;
  expect([second?.traceId, second?.spanId]).toEqual([first?.traceId, first?.spanId]);
});

it('a collector that is away costs nobody time, and what is lost is counted', async () => {
  receiver.isAway = true;
  const subject = start({ queueMax: 2, otlp: parseOtlpEndpoint(`http://127.0.0.1:${receiver.httpPort}`) });
  for (const uuid of ['a', 'b', 'c']) subject.flow(answer(200, undefined, uuid));
  const text = await registry.metrics();
  expect(text).toContain('weir_relay_export_queue{signal="traces",exporter="otlp"} 2');
  expect(text).toContain('weir_relay_export_lost_total{signal="traces",exporter="otlp",reason="queue_full"} 1');
  receiver.isAway = false;
  await flush();
  expect(receiver.spans).toHaveLength(2);
  expect(await registry.metrics()).toContain('weir_relay_exported_total{signal="traces",exporter="otlp"} 2');
});
