// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bundle = join(root, 'dist/l7-proxy.mjs');
const listenTimeoutMs = 10_000;
const ticksPerSecond = 100;

/** A server that runs, pinned to one CPU. */
export interface HttpServer {
  readonly url: string;
  /** CPU time that it has taken so far. */
  cpuSeconds(): Promise<number>;
  stop(): Promise<void>;
}

/** Where servers of a benchmark keep their files, and where they run. */
export interface HttpServerOptions {
  readonly directory: string;
  readonly port: number;
  readonly cpu: number;
}

interface Command extends HttpServerOptions {
  readonly argv: readonly string[];
}

async function start({ argv, port, cpu }: Command): Promise<HttpServer> {
  const child = spawn('taskset', ['-c', String(cpu), ...argv], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()));
  const stop = (): Promise<void> => end(child);
  for (const deadline = Date.now() + listenTimeoutMs; !(await isListening(port)); await delay(20)) {
    if (child.exitCode === null && Date.now() < deadline) continue;
    await stop();
    throw new WeirError('FAILED_PRECONDITION', `Cannot start "${argv.join(' ')}": ${complaint.trim()}`);
  }
  return {
    url: `http://127.0.0.1:${port}/v1/x`,
    async cpuSeconds() {
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
    },
    stop,
  };
}

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const settle = (listening: boolean): void => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill();
  await exited;
}

const nginxHead = (directory: string, name: string): string => `
  daemon off; master_process off; pid ${directory}/${name}.pid; error_log stderr;
  events { worker_connections 1024; }
`;

/** An nginx that answers every request with a few bytes. Listens in every namespace it is started in, at any address. */
export function nginxOriginConfig(directory: string, port: number): string {
  return `${nginxHead(directory, 'origin')}
    http { access_log off; keepalive_requests 1000000000; server {
      listen ${port}; listen [::]:${port};
      location / { return 200 "hello, world\\n"; }
    } }`;
}

/** See {@link nginxOriginConfig}. */
export async function startNginxOrigin(options: HttpServerOptions): Promise<HttpServer> {
  const path = join(options.directory, 'origin.conf');
  await writeFile(path, nginxOriginConfig(options.directory, options.port));
  return start({ ...options, argv: ['nginx', '-e', 'stderr', '-c', path] });
}

export interface HttpProxyOptions extends HttpServerOptions {
  readonly originPort: number;
}

/** nginx as a reverse proxy that lets GET below /v1/ through. */
export async function startNginxProxy(options: HttpProxyOptions): Promise<HttpServer> {
  const { directory, port, originPort } = options;
  const path = join(directory, `nginx-proxy-${port}.conf`);
  await writeFile(
    path,
    `${nginxHead(directory, 'proxy')}
    http { access_log off; keepalive_requests 1000000000;
      upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 1000000000; }
      server { listen 127.0.0.1:${port};
        location ~ ^/v1/.*$ {
          if ($request_method !~ ^GET$) { return 403; }
          proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
        }
        location / { return 403; }
    } }`,
  );
  return start({ ...options, argv: ['nginx', '-e', 'stderr', '-c', path] });
}

/** HAProxy, with one thread, that lets GET below /v1/ through. */
export async function startHaproxy(options: HttpProxyOptions): Promise<HttpServer> {
  const { directory, port, originPort } = options;
  const path = join(directory, `haproxy-${port}.cfg`);
  await writeFile(
    path,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend in
  bind 127.0.0.1:${port}
  http-request deny unless { method GET } { path_reg ^/v1/.*$ }
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort}
`,
  );
  return start({ ...options, argv: ['haproxy', '-db', '-f', path] });
}

/** Weir's proxy, on ordinary sockets, with the same rule; it reports every call to the agent at `agent`. */
export async function startWeirProxy(options: HttpProxyOptions & { readonly agent: string }): Promise<HttpServer> {
  const { directory, port, originPort, agent } = options;
  const path = join(directory, `weir-${port}.json`);
  const http = [{ method: 'GET', path: '/v1/.*', host: '' }];
  const content = { listen: `127.0.0.1:${port}`, upstream: `127.0.0.1:${originPort}`, ingressRuleSet: 1 };
  await writeFile(path, JSON.stringify({ ...content, ruleSets: [{ id: 1, http }] }));
  const program = existsSync(bundle) ? bundle : join(root, 'apps/l7-proxy/src/main.ts');
  const flags = ['--static', path, '--state-dir', directory, '--agent', agent, '--log-level', 'error'];
  return start({ ...options, argv: [process.execPath, program, ...flags] });
}
