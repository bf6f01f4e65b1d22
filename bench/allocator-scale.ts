// SPDX-License-Identifier: Apache-2.0
// One identity-allocator and the agents of 1,000 nodes with 20,000 pods and 5,000 identities, each on real gRPC streams of its
// own, while 100 pods a second are replaced; beside a tenth of the nodes with the same changes.
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WeirError } from '@weir/errors';
import { build } from 'esbuild';
import type { SwarmResult } from './lib/agent-swarm.ts';
import type { BenchPart, BenchSettings, Figure } from './lib/index.ts';

const nodes = { many: 1_000, few: 100 };
const podsPerNode = 20;
const identities = 5_000;
const churnS = 10;
const timeoutMs = 240_000;
const ticksPerS = 100;
const run = promisify(execFile);

/** A run, with what the allocator has used. */
interface Measured extends SwarmResult {
  readonly peakMiB: number;
  /** Of one processor, while pods were replaced. */
  readonly busyShare: number;
}

async function bundle(directory: string): Promise<string> {
  const outfile = join(directory, 'agent-swarm.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('lib/agent-swarm.ts', import.meta.url))],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' },
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
  });
  return outfile;
}

/** Processor time that a process has used, in seconds. */
function cpuS(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerS;
}

const peakMiBOf = (pid: number): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Takes the processor time of a process twice a second, so that that of any span can be told. */
function sampleCpu(pid: number) {
  const samples: { readonly atMs: number; readonly cpuS: number }[] = [];
  const timer = setInterval(() => void samples.push({ atMs: Date.now(), cpuS: cpuS(pid) }), 500);
  return {
    stop: () => clearInterval(timer),
    shareBetween(fromMs: number, toMs: number): number {
      const within = samples.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
      const [first, last] = [within[0], within.at(-1)];
      if (first === undefined || last === undefined || first === last) return NaN;
      return (last.cpuS - first.cpuS) / ((last.atMs - first.atMs) / 1_000);
    },
  };
}

/** Over TCP, as between machines: two thousand connections at once are more than a unix socket lets wait. */
async function startAllocator(directory: string) {
  const program = fileURLToPath(new URL('../dist/identity-allocator.mjs', import.meta.url));
  const args = [program, '--run-dir', directory, '--state-dir', directory, '--listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const address = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (chunk: Buffer) => {
      const [, found] = /"address":"(127[^"]+)"/.exec(chunk.toString()) ?? [];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', () => reject(new WeirError('UNAVAILABLE', 'The identity-allocator does not start')));
  });
  return { child, address };
}

async function measure(program: string, nodeCount: number, signal: AbortSignal): Promise<Measured> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-bench-allocator-'));
  const { child, address } = await startAllocator(directory);
  const pid = child.pid ?? 0;
  const cpu = sampleCpu(pid);
  try {
    const args = [address, nodeCount, podsPerNode, identities, churnS].map(String);
    const { stdout } = await run(process.execPath, [program, ...args], { timeout: timeoutMs, signal });
    const result = JSON.parse(stdout) as SwarmResult;
    const busyShare = cpu.shareBetween(result.churnFromMs, result.churnToMs);
    return { ...result, peakMiB: peakMiBOf(pid), busyShare };
  } finally {
    cpu.stop();
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
}

function figuresOf(many: readonly Measured[], few: readonly Measured[]): Figure[] {
  const figure = (
    [name, unit]: readonly [string, string],
    pick: (each: Measured) => number,
    target?: number,
  ): Figure => ({
    ...{ name, unit, better: 'lower', ours: many.map(pick) },
    baseline: { name: `with ${nodes.few} nodes`, values: few.map(pick) },
    ...(target !== undefined && { target: { kind: 'value', value: target } }),
  });
  return [
    figure(['a changed pod is known to an agent, p50', 'ms'], ({ propagationP50Ms }) => propagationP50Ms),
    figure(['a changed pod is known to an agent, p99', 'ms'], ({ propagationP99Ms }) => propagationP99Ms, 250),
    figure(['all agents at once get everything', 'ms'], ({ joinMs }) => joinMs),
    figure(['allocator, share of a processor', ''], ({ busyShare }) => busyShare),
    figure(['allocator, peak of memory', 'MiB'], ({ peakMiB }) => peakMiB, 500),
  ];
}

/** Once each: a run takes half a minute, and its figures are of thousands of messages. */
async function measureAll(program: string, { signal }: BenchSettings): Promise<Figure[]> {
  const few = await measure(program, nodes.few, signal);
  signal.throwIfAborted();
  return figuresOf([await measure(program, nodes.many, signal)], [few]);
}

export const part: BenchPart = {
  name: 'allocator-scale',
  async run(settings) {
    const directory = await mkdtemp(join(tmpdir(), 'weir-bench-swarm-'));
    try {
      const program = await bundle(directory);
      await settings.step('1,000 agents, 20,000 pods, 5,000 identities', () => measureAll(program, settings));
    } finally {
      await rm(directory, { recursive: true });
    }
  },
};
