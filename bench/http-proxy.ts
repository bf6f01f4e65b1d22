// SPDX-License-Identifier: Apache-2.0
// What it costs to have HTTP policed. First the proxy by itself, on ordinary sockets, against HAProxy and nginx with the same
// rule: the proxy on one CPU, client and server on the other, so that the proxy is what limits; then one call at a time with
// everything on one CPU, where it takes as long as the work does. Last, between pods, where a second server without HTTP
// rules is the baseline. The proxy reports every call to an agent.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Lab } from '@weir/lab';
import { ProxyControlDefinition } from '@weir/proto';
import { createRpcServer, createStreamQueue, rpcService, type RpcServer } from '@weir/rpc';
import { withLab } from './lib/bench-lab.ts';
import { firstCpu, secondCpu } from './lib/cpus.ts';
import {
  type HttpServer,
  nginxOriginConfig,
  startHaproxy,
  startNginxOrigin,
  startNginxProxy,
  startWeirProxy,
} from './lib/http-servers.ts';
import { type BenchPart, type BenchSettings, type Figure, interleaved } from './lib/index.ts';
import { wrk, type WrkResult } from './lib/wrk.ts';

const run = promisify(execFile);
const busyConnections = 32;
const ends = firstCpu;
const proxies = secondCpu;
const podPort = 8080;

type Proxy = 'weir' | 'haproxy' | 'nginx';
type Servers = Readonly<Record<Proxy | 'origin', HttpServer>>;

const freePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

/** Takes every access log, as an agent does, and throws it away. The rules stay those of the static file. */
function startAgent(address: string): RpcServer {
  const definition = {
    session: { ...ProxyControlDefinition.session, requestDeserialize: (bytes: Buffer): Buffer => bytes },
  };
  const service = rpcService(definition, {
    session(messages, { signal }) {
      const drain = async (): Promise<void> => {
        for await (const _ of messages) void _;
      };
      drain().catch(() => undefined);
      return createStreamQueue({ itemsMax: 1, overflow: 'fail', signal });
    },
  });
  return createRpcServer({ services: [service], listen: [address] });
}

/** Starts the origin and the three proxies before it, and stops them whatever happens. */
async function withServers<Result>(proxyCpu: number, task: (servers: Servers) => Promise<Result>): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-bench-'));
  const agentAddress = `unix:${directory}/agent.sock`;
  const agent = startAgent(agentAddress);
  const started: HttpServer[] = [];
  const keep = async (starting: Promise<HttpServer>): Promise<HttpServer> => {
    const server = await starting;
    started.push(server);
    return server;
  };
  try {
    await agent.start();
    const originPort = await freePort();
    const origin = await keep(startNginxOrigin({ directory, port: originPort, cpu: ends }));
    const options = async () => ({ directory, port: await freePort(), cpu: proxyCpu, originPort });
    return await task({
      origin,
      weir: await keep(startWeirProxy({ ...(await options()), agent: agentAddress })),
      haproxy: await keep(startHaproxy(await options())),
      nginx: await keep(startNginxProxy(await options())),
    });
  } finally {
    for (const server of started.toReversed()) await server.stop();
    await agent.stop({ deadlineMs: 0 });
    await rm(directory, { recursive: true });
  }
}

/** Requests per second, and the proxy's CPU time for each, with the proxy busy. */
async function measureBusy(servers: Servers, settings: BenchSettings): Promise<Figure[]> {
  const { durationMs } = settings;
  const cpuUs: Record<Proxy, number[]> = { weir: [], haproxy: [], nginx: [] };
  const p99Ms: Record<Proxy, number[]> = { weir: [], haproxy: [], nginx: [] };
  const measure = (proxy: Proxy, close: boolean) => async (): Promise<number> => {
    const { url, cpuSeconds } = servers[proxy];
    const before = await cpuSeconds();
    const result = await wrk({ url, connections: busyConnections, durationMs, cpu: ends, close });
    if (!close) {
      cpuUs[proxy].push((((await cpuSeconds()) - before) * 1e6) / result.requests);
      p99Ms[proxy].push(result.p99Us / 1e3);
    }
    return result.perSecond;
  };
  const variants = (close: boolean) => ({
    weir: measure('weir', close),
    haproxy: measure('haproxy', close),
    nginx: measure('nginx', close),
  });
  const lasting = await interleaved({ ...settings, variants: variants(false) });
  const single = await interleaved({ ...settings, variants: variants(true) });
  // The first turn only warms up.
  const afterWarmUp = (values: Record<Proxy, number[]>, proxy: Proxy): number[] => values[proxy].slice(1);
  const haproxy = (values: readonly number[]) => ({ name: 'HAProxy', values });
  const rate = { unit: '1/s', better: 'higher' } as const;
  const name = `requests, ${busyConnections} connections`;
  return [
    { name, ...rate, ours: lasting.weir, baseline: haproxy(lasting.haproxy), target: { kind: 'ratio', value: 0.5 } },
    { name, ...rate, ours: lasting.weir, baseline: { name: 'nginx', values: lasting.nginx } },
    {
      name: 'CPU per request',
      unit: 'µs',
      better: 'lower',
      ours: afterWarmUp(cpuUs, 'weir'),
      baseline: haproxy(afterWarmUp(cpuUs, 'haproxy')),
      target: { kind: 'ratio', value: 2 },
    },
    {
      name: `p99, ${busyConnections} connections`,
      unit: 'ms',
      better: 'lower',
      ours: afterWarmUp(p99Ms, 'weir'),
      baseline: haproxy(afterWarmUp(p99Ms, 'haproxy')),
    },
    { name: 'requests, a connection each', ...rate, ours: single.weir, baseline: haproxy(single.haproxy) },
  ];
}

const difference = (values: readonly number[], base: readonly number[]): number[] =>
  values.map((value, i) => value - (base[i] ?? Number.NaN));

/** What a call takes longer than without the proxy, one call at a time. */
async function measureAlone(servers: Servers, settings: BenchSettings): Promise<Figure[]> {
  const { durationMs } = settings;
  const p99Us: Record<Proxy | 'origin', number[]> = { weir: [], haproxy: [], nginx: [], origin: [] };
  const measure = (server: Proxy | 'origin') => async (): Promise<number> => {
    const result = await wrk({ url: servers[server].url, connections: 1, durationMs, cpu: ends });
    p99Us[server].push(result.p99Us);
    return result.p50Us;
  };
  const variants = { origin: measure('origin'), weir: measure('weir'), haproxy: measure('haproxy') };
  const p50Us = await interleaved({ ...settings, variants });
  return [
    {
      name: 'p50 added to a direct call',
      unit: 'µs',
      better: 'lower',
      ours: difference(p50Us.weir, p50Us.origin),
      baseline: { name: 'HAProxy', values: difference(p50Us.haproxy, p50Us.origin) },
      target: { kind: 'value', value: 60 },
    },
    {
      name: 'p99, one call at a time',
      unit: 'µs',
      better: 'lower',
      ours: p99Us.weir.slice(1),
      baseline: { name: 'HAProxy', values: p99Us.haproxy.slice(1) },
    },
  ];
}

const policy = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: bench-http }
spec:
  endpointSelector: { matchLabels: { app: bench-policed } }
  ingress:
    - fromEndpoints: [{ matchLabels: { app: bench-client } }]
      toPorts: [{ ports: [{ port: '${podPort}', protocol: TCP }], rules: { http: [{ method: GET, path: '/v1/.*' }] } }]
`;

async function pinProxy(lab: Lab, cpu: number): Promise<void> {
  const service = (await lab.services()).find(({ name }) => name.endsWith('/l7-proxy'));
  if (service?.state.kind !== 'running') return;
  const pid = String(service.state.pid);
  await run('taskset', ['-apc', String(cpu), pid]);
}

/** Calls between pods whose server has HTTP rules, against one that has none. */
async function measurePods(lab: Lab, settings: BenchSettings): Promise<Figure[]> {
  const { durationMs } = settings;
  const directory = lab.paths.directory;
  await writeFile(join(directory, 'origin.conf'), nginxOriginConfig(directory, podPort));
  const command = [
    'taskset',
    '-c',
    String(ends),
    'nginx',
    '-e',
    'stderr',
    '-c',
    join(directory, 'origin.conf'),
  ] as const;
  const client = await lab.addPod({ name: 'client', labels: { app: 'bench-client' } });
  const addServer = (name: string) =>
    lab.addPod({ name, labels: { app: `bench-${name}` }, command, waitPort: podPort });
  const servers = { policed: await addServer('policed'), open: await addServer('open') };
  await lab.applyPolicy([{ name: 'bench.yaml', content: Buffer.from(policy) }]);
  const call = (name: keyof typeof servers, connections: number): Promise<WrkResult> => {
    const url = `http://${servers[name].ipv4}:${podPort}/v1/x`;
    return wrk({ url, connections, durationMs, cpu: ends, netns: client.netns });
  };

  await pinProxy(lab, ends);
  const p50 = (name: keyof typeof servers) => async () => (await call(name, 1)).p50Us;
  const alone = await interleaved({ ...settings, variants: { open: p50('open'), policed: p50('policed') } });
  await pinProxy(lab, proxies);
  const rate = (name: keyof typeof servers) => async () => (await call(name, busyConnections)).perSecond;
  const busy = await interleaved({ ...settings, variants: { open: rate('open'), policed: rate('policed') } });
  return [
    {
      name: 'p50 added between pods',
      unit: 'µs',
      better: 'lower',
      ours: difference(alone.policed, alone.open),
      target: { kind: 'value', value: 60 },
    },
    {
      name: 'requests between pods',
      unit: '1/s',
      better: 'higher',
      ours: busy.policed,
      baseline: { name: 'without HTTP rules', values: busy.open },
    },
  ];
}

export const part: BenchPart = {
  name: 'http-proxy',
  async run(settings) {
    const { step } = settings;
    await step(`${busyConnections} connections, with one request each or many`, () =>
      withServers(proxies, (servers) => measureBusy(servers, settings)),
    );
    await step('one call at a time', () => withServers(ends, (servers) => measureAlone(servers, settings)));
    await step('between pods', () => withLab('benchhttp', (lab) => measurePods(lab, settings)));
  },
};
