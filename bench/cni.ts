// SPDX-License-Identifier: Apache-2.0
// How long a container runtime waits for the plugin: ADD until the policy is in force, and DEL. The baseline is what the
// least a pod's network can be made of costs with the `ip` command: a veth pair, addresses and routes, and no policy.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cniAdd, type CniCall, cniDelete, type Lab, netnsPath } from '@weir/lab';
import { type BenchPart, type Figure, quantile } from './lib/index.ts';
import { withLab } from './lib/bench-lab.ts';
import { fileURLToPath } from 'node:url';

const run = promisify(execFile);
const plugin = fileURLToPath(new URL('../dist/weir-cni', import.meta.url));
const callsPerRun = 20;

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
  netnsPath: netnsPath(`weirbench-${process.pid}`),
  namespace: 'default',
  pod: `bench-${index}`,
  socket: lab.paths.node('node1').cniSocket,
  labels: { app: `bench-${index % 10}` },
});

interface Times {
  readonly add: number[];
  readonly del: number[];
}

async function measurePod(lab: Lab, index: number, times: Times): Promise<void> {
  await withNamespace(`weirbench-${process.pid}`, async () => {
    const call = callOf(lab, index);
    times.add.push(await elapsedMs(() => cniAdd(call)));
    times.del.push(await elapsedMs(() => cniDelete(call)));
  });
}

/** The same devices and addresses, one `ip` command after the other, as a simple plugin does it. */
async function measurePlain(index: number): Promise<number> {
  const name = `weirbench-${process.pid}p`;
  return withNamespace(name, () =>
    elapsedMs(async () => {
      const host = `wbench${index % 1000}`;
      await run('ip', ['link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name]);
      await run('ip', ['-n', name, 'addr', 'add', '198.18.0.2/32', 'dev', 'eth0']);
      await run('ip', ['-n', name, 'link', 'set', 'eth0', 'up']);
      await run('ip', ['-n', name, 'route', 'add', '198.18.0.1', 'dev', 'eth0', 'scope', 'link']);
      await run('ip', ['-n', name, 'route', 'add', 'default', 'via', '198.18.0.1']);
      await run('ip', ['link', 'set', host, 'up']);
    }),
  );
}

export const part: BenchPart = {
  name: 'cni',
  run: ({ runs, say }) =>
    withLab('benchcni', async (lab) => {
      const first: Times = { add: [], del: [] };
      await measurePod(lab, 0, first);
      const byRun: { add: number[]; addP99: number[]; del: number[]; delP99: number[]; plain: number[] } = {
        add: [],
        addP99: [],
        del: [],
        delP99: [],
        plain: [],
      };
      for (let turn = 0; turn < runs; turn++) {
        say(`run ${turn + 1} of ${runs}: ${callsPerRun} pods`);
        const times: Times = { add: [], del: [] };
        const plain: number[] = [];
        for (let index = 1; index <= callsPerRun; index++) {
          await measurePod(lab, turn * callsPerRun + index, times);
          plain.push(await measurePlain(index));
        }
        byRun.add.push(quantile(times.add, 0.5));
        byRun.addP99.push(quantile(times.add, 0.99));
        byRun.del.push(quantile(times.del, 0.5));
        byRun.delP99.push(quantile(times.del, 0.99));
        byRun.plain.push(quantile(plain, 0.5));
      }
      const baseline = { name: 'ip commands', values: byRun.plain };
      const base = { unit: 'ms', better: 'lower' } as const;
      const figures: Figure[] = [
        {
          ...base,
          name: 'first pod of a fresh node, ADD',
          ours: first.add,
          target: { kind: 'value', value: 300 },
          peer: '7000',
        },
        { ...base, name: 'ADD p50', ours: byRun.add, baseline, target: { kind: 'value', value: 15 }, peer: '283' },
        { ...base, name: 'ADD p99', ours: byRun.addP99, target: { kind: 'value', value: 30 }, peer: '394' },
        { ...base, name: 'DEL p50', ours: byRun.del, peer: '109' },
        { ...base, name: 'DEL p99', ours: byRun.delP99, peer: '130' },
      ];
      return figures;
    }),
};
