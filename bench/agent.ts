// SPDX-License-Identifier: Apache-2.0
// The agent with 100 pods: how fast a policy is in force, how soon after its death, and what it costs to have it. In force
// means that a packet was treated so: datagrams run between two pods all the time.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, Pod, ServiceStatus } from '@weir/lab';
import { WeirError } from '@weir/errors';
import { withLab } from './lib/bench-lab.ts';
import { type BenchPart, type BenchSettings, type Figure, quantile, type Target } from './lib/index.ts';
import { type PolicyToggle, startPolicyToggle, type ToggleTimes } from './lib/policy-toggle.ts';

const podCount = 100;
const parallel = 10;
const importsPerRun = 20;
const idleSeconds = 20;
/** Until the last pods have their links, and what their start left for the garbage collector is gone. */
const calmSeconds = 15;

const lower = { better: 'lower' } as const;
const value = (limit: number): Target => ({ kind: 'value', value: limit });

const pidOf = ({ name, state }: ServiceStatus): number => {
  if (state.kind === 'running') return state.pid;
  throw new WeirError('FAILED_PRECONDITION', `${name} is ${state.kind}, not running`);
};

async function addPods(lab: Lab): Promise<Pod[]> {
  const pods: Pod[] = [];
  for (let first = 0; first < podCount; first += parallel) {
    const indices = Array.from({ length: parallel }, (_, index) => first + index);
    const add = (index: number): Promise<Pod> =>
      lab.addPod({ name: `pod${index}`, labels: { app: `bench-${index % 20}` } });
    pods.push(...(await Promise.all(indices.map(add))));
  }
  return pods;
}

async function measureImports(toggle: PolicyToggle, { runs, signal }: BenchSettings): Promise<Figure[]> {
  const byRun: { readonly times: readonly ToggleTimes[] }[] = [];
  for (let run = 0; run < runs; run++) {
    const times: ToggleTimes[] = [];
    for (let index = 0; index < importsPerRun; index++) {
      signal.throwIfAborted();
      times.push(await toggle.toggle());
    }
    byRun.push({ times });
  }
  const quantiles = (q: number, of: (times: readonly ToggleTimes[]) => number[]): number[] =>
    byRun.map(({ times }) => quantile(of(times), q));
  const enforced = (fate: ToggleTimes['fate']) => (times: readonly ToggleTimes[]) =>
    times.filter((each) => each.fate === fate).map(({ enforcedMs }) => enforcedMs);
  const all = (times: readonly ToggleTimes[]): number[] => times.map(({ enforcedMs }) => enforcedMs);
  const answered = (times: readonly ToggleTimes[]): number[] => times.map(({ answeredMs }) => answeredMs);
  const base = { ...lower, unit: 'ms' } as const;
  return [
    { ...base, name: 'import → enforced, p50', ours: quantiles(0.5, all), target: value(5), peer: '15' },
    { ...base, name: 'import → enforced, p99', ours: quantiles(0.99, all), target: value(10), peer: '21' },
    { ...base, name: 'import → open flow cut, p50', ours: quantiles(0.5, enforced('closed')) },
    { ...base, name: 'import → blocked flow let through, p50', ours: quantiles(0.5, enforced('open')) },
    { ...base, name: 'import → answered, p50', ours: quantiles(0.5, answered) },
  ];
}

/** From the death of the agent until a packet is treated by a policy that its successor was sent. */
async function measureRestarts(
  lab: Lab,
  toggle: PolicyToggle,
  { runs, say, signal }: BenchSettings,
): Promise<Figure[]> {
  const seconds: number[] = [];
  for (let run = 0; run < runs; run++) {
    signal.throwIfAborted();
    const start = process.hrtime.bigint();
    // Killed and started by hand: the lab's own restarts wait longer each time, which is not what is measured.
    await lab.stopService('node1/agent', 'SIGKILL');
    await lab.startService('node1/agent');
    const { enforcedMs } = await toggle.toggle(start);
    seconds.push(enforcedMs / 1000);
    say(`restart ${run + 1} of ${runs}: ${(enforcedMs / 1000).toFixed(2)} s`);
  }
  const name = `kill -9 → policy change in force, ${podCount} pods`;
  return [{ ...lower, name, unit: 's', ours: seconds, target: value(1), peer: '13–52' }];
}

const rssMb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Seconds of processor time so far: fields 14 and 15 of proc_pid_stat(5), in hundredths. */
const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

async function measureResources(lab: Lab): Promise<Figure[]> {
  const services = await lab.services();
  const before = services.map((service) => cpuSeconds(pidOf(service)));
  await sleep(idleSeconds * 1000);
  return services.flatMap((service, index): Figure[] => {
    const pid = pidOf(service);
    const name = service.name.replace(/^node1\//, '');
    const isAgent = name === 'agent';
    const share = ((cpuSeconds(pid) - (before[index] ?? 0)) / idleSeconds) * 100;
    return [
      {
        ...{ ...lower, name: `${name}: resident memory, ${podCount} pods`, unit: 'MB', ours: [rssMb(pid)] },
        ...(isAgent ? { target: value(120), peer: '220' } : {}),
      },
      {
        ...{ ...lower, name: `${name}: processor time, idle, ${podCount} pods`, unit: '% of a CPU', ours: [share] },
        ...{ target: value(0.5) },
        ...(isAgent ? { peer: '2.4' } : {}),
      },
    ];
  });
}

export const part: BenchPart = {
  name: 'agent',
  run: (settings) =>
    withLab('benchagent', async (lab) => {
      settings.say(`adding ${podCount} pods, ${parallel} at a time`);
      const [, server, client] = await addPods(lab);
      settings.say(`waiting ${calmSeconds} s for calm`);
      await sleep(calmSeconds * 1000);
      await settings.step(`memory, and processor time over ${idleSeconds} s`, () => measureResources(lab));
      if (client === undefined || server === undefined) return;
      const toggle = await startPolicyToggle(lab, { client, server });
      try {
        await settings.step('policy imports', () => measureImports(toggle, settings));
        await settings.step('restarts', () => measureRestarts(lab, toggle, settings));
      } finally {
        await toggle.stop();
      }
    }),
};
