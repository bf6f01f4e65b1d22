// SPDX-License-Identifier: Apache-2.0
// How long a container runtime waits for the plugin: ADD until the policy is in force, and DEL. The baseline is what the
// least a pod's network can be made of costs with the `ip` command: a veth pair, addresses and routes, and no policy.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { cniAdd, type CniCall, cniDelete, type Lab, netnsPath } from '@weir/lab';
import { withLab } from './lib/bench-lab.ts';
import { type BenchPart, type BenchSettings, type Figure, quantile } from './lib/index.ts';
import { benchNamespace } from './lib/leftovers.ts';

const run = promisify(execFile);
const plugin = fileURLToPath(new URL('../dist/weir-cni', import.meta.url));
const callsPerRun = 20;
const freshNodesMax = 5;

const elapsedMs = async (task: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await task();
  return performance.now() - start;
};

async function withNamespace<Result>(name: string, task: () => Promise<Result>): Promise<Result> {
  await run('ip', ['netns', 'add', name]);
  try {
    return await task();
  } finally {
    await run('ip', ['netns', 'del', name]);
  }
}

const callOf = (lab: Lab, index: number): Omit<CniCall, 'command'> => ({
  plugin,
  containerId: `bench${process.pid}n${index}`,
  netnsPath: netnsPath(benchNamespace('pod')),
  namespace: 'default',
  pod: `bench-${index}`,
  socket: lab.paths.node('node1').cniSocket,
  labels: { app: `bench-${index % 10}` },
});

interface Times {
  readonly add: number[];
  readonly del: number[];
  readonly plain: number[];
}

async function measurePod(lab: Lab, index: number, times: Times): Promise<void> {
  await withNamespace(benchNamespace('pod'), async () => {
    const call = callOf(lab, index);
    times.add.push(await elapsedMs(() => cniAdd(call)));
    times.del.push(await elapsedMs(() => cniDelete(call)));
  });
}

/** The same devices and addresses, one `ip` command after the other, as a simple plugin does it. */
async function measurePlain(index: number, times: Times): Promise<void> {
  const name = benchNamespace('plain');
  await withNamespace(name, async () => {
    const host = `wbench${index % 1000}`;
    const commands = [
      ['link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name],
      ['-n', name, 'addr', 'add', '198.18.0.2/32', 'dev', 'eth0'],
      ['-n', name, 'link', 'set', 'eth0', 'up'],
      ['-n', name, 'route', 'add', '198.18.0.1', 'dev', 'eth0', 'scope', 'link'],
      ['-n', name, 'route', 'add', 'default', 'via', '198.18.0.1'],
      ['link', 'set', host, 'up'],
    ];
    times.plain.push(
      await elapsedMs(async () => {
        for (const command of commands) await run('ip', command);
      }),
    );
  });
}

const noTimes = (): Times => ({ add: [], del: [], plain: [] });

/** Nodes that have just come up, each with its first pod. */
async function measureFirstPods({ runs, say, signal }: BenchSettings): Promise<Figure[]> {
  const times = noTimes();
  for (let node = 0; node < Math.min(runs, freshNodesMax); node++) {
    signal.throwIfAborted();
    await withLab('benchcni', (lab) => measurePod(lab, 0, times));
    say(`first pod: ${times.add.at(-1)?.toFixed(0)} ms`);
  }
  const target = { kind: 'value', value: 300 } as const;
  return [
    { name: 'first pod of a fresh node, ADD', unit: 'ms', better: 'lower', ours: times.add, target, peer: '7000' },
  ];
}

async function measurePods(lab: Lab, { runs, signal }: BenchSettings): Promise<Figure[]> {
  const warmUp = noTimes();
  for (let index = 0; index < 5; index++) await measurePod(lab, index, warmUp);
  const byRun: Times[] = [];
  for (let turn = 0; turn < runs; turn++) {
    const times = noTimes();
    for (let index = 1; index <= callsPerRun; index++) {
      signal.throwIfAborted();
      await measurePod(lab, turn * callsPerRun + index, times);
      await measurePlain(index, times);
    }
    byRun.push(times);
  }
  const quantiles = (of: keyof Times, q: number): number[] => byRun.map((times) => quantile(times[of], q));
  const base = { unit: 'ms', better: 'lower' } as const;
  const ip = (q: number): Figure['baseline'] & object => ({ name: 'ip commands', values: quantiles('plain', q) });
  const value = (limit: number) => ({ kind: 'value', value: limit }) as const;
  const add = { ...base, name: 'ADD p50', ours: quantiles('add', 0.5), baseline: ip(0.5), target: value(15) };
  const addP99 = { ...base, name: 'ADD p99', ours: quantiles('add', 0.99), baseline: ip(0.99), target: value(30) };
  return [
    { ...add, peer: '283' },
    { ...addP99, peer: '394' },
    { ...base, name: 'DEL p50', ours: quantiles('del', 0.5), peer: '109' },
    { ...base, name: 'DEL p99', ours: quantiles('del', 0.99), peer: '130' },
  ];
}

export const part: BenchPart = {
  name: 'cni',
  async run(settings) {
    await settings.step('first pods of fresh nodes', () => measureFirstPods(settings));
    await withLab('benchcni', async (lab) => {
      await settings.step(`pods, ${callsPerRun} a run`, () => measurePods(lab, settings));
    });
  },
};
