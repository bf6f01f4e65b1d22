// SPDX-License-Identifier: Apache-2.0
// A request through two policed services arrives in a collector as one trace, with what each call really took.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startOtlpReceiver, type OtlpReceiver } from '@weir/otlp-receiver';
import { curl } from './testing/http.ts';
import { fromPods, onHttp, policy } from './testing/policy.ts';
import { eventually } from './testing/services.ts';
import { useLab, type PlayedPod } from './testing/use-lab.ts';
import { distDirectory } from './testing/weir.ts';

const port = 8080;
const backDelayMs = 50;
const serverKind = 2;
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
const [ofCurl, ofFront] = ['00f067aa0ba902b7', 'b7ad6b7169203331'];
const [isClient, isFront, isBack] = [{ app: 'client' }, { app: 'front' }, { app: 'back' }];

/** A service that answers after a while. */
const backProgram = `
  require('node:http')
    .createServer((request, response) => setTimeout(() => response.end('back'), ${backDelayMs}))
    .listen(${port}, '::');`;
/** A service that asks the other one, in a span of its own, as a library for traces would. */
const frontProgram = (back: string): string => `
  const http = require('node:http');
  http
    .createServer(({ headers }, response) => {
      const traceparent = headers.traceparent?.replace(/-[0-9a-f]{16}-/, '-${ofFront}-');
      const options = { host: '${back}', port: ${port}, path: '/items', headers: traceparent ? { traceparent } : {} };
      http.get(options, (answer) => answer.resume().on('end', () => response.end('front')));
    })
    .listen(${port}, '::');`;
const server = (program: string) => ({
  command: [process.execPath, '--eval', program] as [string, ...string[]],
  ...{ waitPort: port, env: { PATH: process.env['PATH'], NODE_OPTIONS: '' } },
});

let front: PlayedPod;
const test = useLab('traces', async ({ pod }) => {
  await pod('client', { labels: isClient });
  const back = await pod('back', { labels: isBack, ...server(backProgram) });
  front = await pod('front', { labels: isFront, ...server(frontProgram(back.ipv4)) });
});

let receiver: OtlpReceiver;
let relay: ChildProcess;
beforeAll(async () => {
  receiver = await startOtlpReceiver();
  const { directory, node } = test.lab.paths;
  relay = spawn(
    process.execPath,
    [
      ...[join(distDirectory, 'monitor-relay.mjs'), '--listen', `unix:${directory}/traces.sock`],
      ...['--peer-service', `unix:${node('node1').observerSocket}`],
      ...['--otlp-endpoint', `grpc://127.0.0.1:${receiver.grpcPort}`],
    ],
    { stdio: 'ignore', env: { PATH: process.env['PATH'] } },
  );
});
afterAll(async () => {
  relay.kill();
  await receiver.close();
});

it('calls of two services are spans of one trace, with their real times and parents', async () => {
  await test.apply(
    policy('front', isFront, { ingress: [{ ...fromPods(isClient), ...onHttp(port, { method: 'GET' }) }] }),
    policy('back', isBack, { ingress: [{ ...fromPods(isFront), ...onHttp(port, { path: '/items' }) }] }),
  );
  const url = `http://${front.ipv4}:${port}`;
  // From now on the relay is known to read.
  await eventually('spans arrive', async () => {
    await curl(test.lab, 'client', `${url}/spare`);
    return receiver.spans.length > 0 || undefined;
  });
  const answer = await curl(test.lab, 'client', '-H', `traceparent: 00-${trace}-${ofCurl}-01`, `${url}/cart`);
  expect(answer).toMatchObject({ status: 200, body: 'front' });
  const spans = await eventually('both spans have arrived', () => {
    const found = receiver.spans.filter(({ traceId }) => traceId === trace);
    return found.length >= 2 ? found : undefined;
  });
  const [back, first] = spans.toSorted((a, b) => Number(a.durationNs - b.durationNs));
  expect(first).toMatchObject({
    ...{ service: 'front', name: 'GET', kind: serverKind, parentSpanId: ofCurl, status: 0 },
    attributes: { 'url.path': '/cart', 'http.response.status_code': 200, 'weir.source.pod': 'client' },
  });
  expect(back).toMatchObject({
    ...{ service: 'back', name: 'GET', kind: serverKind, parentSpanId: ofFront, status: 0 },
    attributes: { 'url.path': '/items', 'weir.source.pod': 'front', 'weir.destination.pod': 'back' },
  });
  expect(spans).toHaveLength(2);
  // Timers are late, never early by more than their own resolution.
  expect(Number(back?.durationNs)).toBeGreaterThan((backDelayMs - 2) * 1e6);
  const ends = [first, back].map((span) => (span?.startNs ?? 0n) + (span?.durationNs ?? 0n));
  expect((back?.startNs ?? 0n) > (first?.startNs ?? 0n)).toBe(true);
  expect((ends[1] ?? 0n) <= (ends[0] ?? 0n) + 1_000_000n).toBe(true);
});

it('a call that is refused is a span, too', async () => {
  await test.apply(
    policy('front', isFront, { ingress: [{ ...fromPods(isClient), ...onHttp(port, { path: '/cart' }) }] }),
  );
  await curl(test.lab, 'client', '-H', `b3: ${trace}-${ofFront}-1`, `http://${front.ipv4}:${port}/no`);
  const span = await eventually('the span has arrived', () =>
    receiver.spans.find(({ attributes }) => attributes['url.path'] === '/no'),
  );
  expect(span).toMatchObject({
    ...{ service: 'front', traceId: trace, parentSpanId: ofFront },
    attributes: { 'http.response.status_code': 403, 'weir.source.pod': 'client' },
  });
});
