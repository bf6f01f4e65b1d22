// SPDX-License-Identifier: Apache-2.0
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WeirError } from '@weir/errors';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../dist/netbench', import.meta.url));

/** What netbench measures, see netbench.c. */
export type NetbenchTest = 'tcp_rr' | 'tcp_crr' | 'udp_rr' | 'tcp_stream';

/** One run of the client. */
export interface NetbenchRun {
  readonly test: NetbenchTest;
  /** Network namespace as `ip netns` names it. */
  readonly netns: string;
  /** Directory of a cgroup to be in; that of this process unless told. */
  readonly cgroup?: string;
  readonly address: string;
  readonly port: number;
  readonly durationMs: number;
  /** CPU to run on; put the server on the same one. */
  readonly cpu?: number;
  /** Connections of `tcp_stream`; 1 unless told. */
  readonly connections?: number;
  /** Bytes of request and response; 1 unless told. */
  readonly sizeBytes?: number;
}

/** What came out: a rate with latencies for round trips, a throughput for streams. */
export interface NetbenchResult {
  readonly perSecond?: number;
  readonly p50Us?: number;
  readonly p90Us?: number;
  readonly p99Us?: number;
  readonly p999Us?: number;
  readonly gbitPerSecond?: number;
  readonly retransmits?: number;
  readonly errors: number;
}

/** A command inside a namespace, before all others: what else runs on the machine is not to be measured. */
export const inNamespace = (netns: string, command: readonly string[]): [string, ...string[]] => [
  'ip',
  ...['netns', 'exec', netns, 'nice', '-n', '-20'],
  ...command,
];

/** The same as a member of a cgroup from its first moment on. */
const inCgroup = (cgroup: string, command: readonly string[]): [string, ...string[]] => [
  'sh',
  ...['-c', 'echo 0 > "$0/cgroup.procs" && exec "$@"', cgroup],
  ...command,
];

/** Starts a server on `port` and `port + 1` that ends with {@link NetbenchServer.stop}, or when this process does. */
export async function startNetbenchServer(options: {
  readonly netns: string;
  readonly port: number;
  readonly cpu?: number;
}): Promise<{ stop(): Promise<void> }> {
  const pin = options.cpu === undefined ? [] : ['--cpu', String(options.cpu)];
  const [file, ...args] = inNamespace(options.netns, [program, 'server', String(options.port), ...pin]);
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  // It says so when it listens; that it ends before is the only other thing that can happen.
  const first = await Promise.race([once(child.stdout, 'data'), exited.then(() => undefined)]);
  if (first === undefined)
    throw new WeirError('FAILED_PRECONDITION', `Cannot start the netbench server: ${complaint.trim()}`);
  return {
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}

/** Runs the client once. A run with an error in it is no measurement and throws FAILED_PRECONDITION. */
export async function netbench(options: NetbenchRun): Promise<NetbenchResult> {
  const { test, netns, address, port, durationMs, cpu } = options;
  const flags = ['--ms', String(durationMs), '--size', String(options.sizeBytes ?? 1)];
  flags.push('--connections', String(options.connections ?? 1), ...(cpu === undefined ? [] : ['--cpu', String(cpu)]));
  if (test === 'tcp_crr') await allowManyConnections(netns);
  const client = inNamespace(netns, [program, test, address, String(port), ...flags]);
  // The cgroup first: in a namespace, `ip netns exec` hides where they are.
  const [file, ...args] = options.cgroup === undefined ? client : inCgroup(options.cgroup, client);
  try {
    const { stdout } = await run(file, args, { timeout: durationMs + 60_000 });
    return JSON.parse(stdout) as NetbenchResult;
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    const said = `${stdout}${stderr}`.trim();
    throw new WeirError('FAILED_PRECONDITION', `Cannot measure ${test} to ${address} port ${port}: ${said}`, {
      cause: error,
    });
  }
}

/** A connection for each round trip soon uses up the ports that wait after closing. */
async function allowManyConnections(netns: string): Promise<void> {
  const settings = ['net.ipv4.tcp_tw_reuse=1', 'net.ipv4.ip_local_port_range=1024 65535'];
  await run('ip', ['netns', 'exec', netns, 'sysctl', '-qw', ...settings]);
}
