// SPDX-License-Identifier: Apache-2.0
// Real Consul and etcd servers for tests, on loopback ports of their own, with their data in memory or a temporary directory.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';

/** A server that runs. */
export interface StoreServer {
  /** `host:port` for clients. */
  readonly endpoint: string;
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Kills it at once; its data stays. */
  kill(): Promise<void>;
  /** Starts it again on its data, and waits until it answers. */
  start(): Promise<void>;
  /** Kills it and removes its data. */
  destroy(): Promise<void>;
}

/** A kind of server, and why there is none here if so. */
export interface StoreServerKind {
  readonly name: 'etcd' | 'consul';
  readonly skipReason: string | undefined;
  /** Runs a new, empty one. */
  create(): Promise<StoreServer>;
}

const startDeadlineMs = 30_000;
// Beside the repository, or where `WEIR_TEST_ASSETS` says.
const assets = process.env.WEIR_TEST_ASSETS ?? fileURLToPath(new URL('../../../../shared/assets/', import.meta.url));
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A port that nobody listens on at the moment. */
export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

const onPath = (program: string): string | undefined =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .concat('/usr/bin', '/usr/local/bin')
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path));

interface ServerSpec {
  readonly program: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly endpoint: string;
  readonly isReady: () => Promise<boolean>;
}

function createServerProcess({ program, args, directory, endpoint, isReady }: ServerSpec): StoreServer {
  let child: ChildProcess | undefined;
  const server: StoreServer = {
    endpoint,
    signal: (signal) => void child?.kill(signal),
    async kill() {
      const dying = child;
      child = undefined;
      if (dying === undefined || dying.exitCode !== null || dying.signalCode !== null) return;
      const ended = new Promise((resolve) => dying.once('exit', resolve));
      dying.kill('SIGKILL');
      await ended;
    },
    async start() {
      const started = spawn(program, args, { stdio: 'ignore' });
      child = started;
      const untilMs = performance.now() + startDeadlineMs;
      while (!(await isReady().catch(() => false))) {
        if (started.exitCode !== null || performance.now() > untilMs) {
          throw new WeirError('UNAVAILABLE', `${program} does not start`);
        }
        await sleep(50);
      }
    },
    async destroy() {
      await server.kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return server;
}

const answers = async (url: string, expected: RegExp, init?: RequestInit): Promise<boolean> =>
  expected.test(await (await fetch(url, { ...init, signal: AbortSignal.timeout(1000) })).text());

/** etcd, from Debian's package. */
export const etcd: StoreServerKind = {
  name: 'etcd',
  skipReason: onPath('etcd') === undefined ? 'etcd is not installed' : undefined,
  async create() {
    const directory = mkdtempSync(join(tmpdir(), 'weir-etcd-'));
    const [client, peer] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${client}`;
    const peerUrl = `http://127.0.0.1:${peer}`;
    const server = createServerProcess({
      program: onPath('etcd') ?? 'etcd',
      directory,
      endpoint: `127.0.0.1:${client}`,
      args: [
        ...['--name', 'test', '--data-dir', join(directory, 'data'), '--log-level', 'error', '--logger', 'zap'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ...['--initial-cluster', `test=${peerUrl}`],
      ],
      isReady: () => answers(`${url}/health`, /"true"/),
    });
    await server.start();
    return server;
  },
};

const consulProgram = join(tmpdir(), 'weir-test-assets');

/** Consul, from the assets beside the repository. */
export const consul: StoreServerKind = {
  name: 'consul',
  skipReason: existsSync(join(assets, 'unpack.sh')) ? undefined : 'there is no shared/assets beside the repository',
  async create() {
    execFileSync('bash', [join(assets, 'unpack.sh'), consulProgram, 'consul']);
    const directory = mkdtempSync(join(tmpdir(), 'weir-consul-'));
    const [http, rpc, serf, wan] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const hcl = `ports { dns = -1, grpc = -1, server = ${rpc}, serf_lan = ${serf}, serf_wan = ${wan}, http = ${http} }`;
    const url = `http://127.0.0.1:${http}`;
    const server = createServerProcess({
      program: join(consulProgram, 'consul'),
      directory,
      endpoint: `127.0.0.1:${http}`,
      args: [
        ...['agent', '-server', '-bootstrap-expect=1', `-data-dir=${join(directory, 'data')}`, '-node=test'],
        ...['-bind=127.0.0.1', '-client=127.0.0.1', '-disable-host-node-id', '-log-level=err', '-hcl', hcl],
        ...['-hcl', 'performance { raft_multiplier = 1 }'],
      ],
      isReady: async () =>
        (await answers(`${url}/v1/status/leader`, /\d/)) &&
        answers(`${url}/v1/kv/weir-test-ready`, /true/, { method: 'PUT', body: 'x' }),
    });
    await server.start();
    return server;
  },
};
