// SPDX-License-Identifier: Apache-2.0
// The agent with 100 pods: how fast a policy is in force, how soon after its death, and what it costs to have it.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, ServiceStatus } from '@weir/lab';
import { AgentServiceDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { withLab } from './lib/bench-lab.ts';
import { type BenchPart, type BenchSettings, type Figure, quantile } from './lib/index.ts';

const podCount = 100;
const parallel = 10;
const importsPerRun = 20;
const idleSeconds = 10;

type Agent = RpcClient<typeof AgentServiceDefinition>;

/** Opens or closes port 80 of a tenth of the pods. */
const policyFile = (port: number): { readonly name: string; readonly content: Uint8Array } => ({
  name: 'bench.yaml',
  content: new TextEncoder().encode(`apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: bench }
spec:
  endpointSelector: { matchLabels: { app: bench-1 } }
  ingress: [{ fromEndpoints: [{ matchLabels: { app: bench-2 } }], toPorts: [{ ports: [{ port: '${port}' }] }] }]
`),
});

const pidOf = ({ state }: ServiceStatus): number => (state.kind === 'running' ? state.pid : 0);

async function addPods(lab: Lab): Promise<void> {
  for (let first = 0; first < podCount; first += parallel) {
    const names = Array.from({ length: parallel }, (_, index) => first + index);
    await Promise.all(
      names.map((index) => lab.addPod({ name: `pod${index}`, labels: { app: `bench-${index % 20}` } })),
    );
  }
}

const connect = (lab: Lab): Agent =>
  createRpcClient(AgentServiceDefinition, {
    address: `unix:${lab.paths.node('node1').agentSocket}`,
    waitForReady: true,
    deadlineMs: 30_000,
  });

async function importMs(agent: Agent, port: number): Promise<number> {
  const start = performance.now();
  const { problems } = await agent.importPolicy({ files: [policyFile(port)] });
  if (problems.length > 0) throw new RangeError(JSON.stringify(problems));
  return performance.now() - start;
}

async function measureImports(lab: Lab, { runs, say }: BenchSettings): Promise<Figure[]> {
  const agent = connect(lab);
  const p50: number[] = [];
  const p99: number[] = [];
  try {
    await importMs(agent, 79);
    for (let run = 0; run < runs; run++) {
      say(`policy imports, run ${run + 1} of ${runs}`);
      const times: number[] = [];
      for (let index = 0; index < importsPerRun; index++) times.push(await importMs(agent, 80 + index));
      p50.push(quantile(times, 0.5));
      p99.push(quantile(times, 0.99));
    }
  } finally {
    agent.close();
  }
  const base = { unit: 'ms', better: 'lower' } as const;
  return [
    { ...base, name: 'import → enforced, p50', ours: p50, target: { kind: 'value', value: 5 }, peer: '15' },
    { ...base, name: 'import → enforced, p99', ours: p99, target: { kind: 'value', value: 10 }, peer: '21' },
  ];
}

/** From the death of the agent until a policy that was sent to its successor is in force. */
async function measureRestarts(lab: Lab, { runs, say }: BenchSettings): Promise<Figure> {
  const seconds: number[] = [];
  for (let run = 0; run < runs; run++) {
    say(`restart, run ${run + 1} of ${runs}`);
    const service = (await lab.services()).find(({ name }) => name === 'node1/agent');
    const start = performance.now();
    if (service !== undefined) process.kill(pidOf(service), 'SIGKILL');
    const agent = connect(lab);
    for (let done = false; !done;) {
      done = await importMs(agent, 200 + run).then(
        () => true,
        () => sleep(10).then(() => false),
      );
    }
    agent.close();
    seconds.push((performance.now() - start) / 1000);
  }
  return {
    name: `kill -9 → policy change in force, ${podCount} pods`,
    unit: 's',
    better: 'lower',
    ours: seconds,
    target: { kind: 'value', value: 1 },
    peer: '13–52',
  };
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

async function measureResources(lab: Lab, { say }: BenchSettings): Promise<Figure[]> {
  say(`idle for ${idleSeconds} s`);
  const services = await lab.services();
  const before = services.map((service) => cpuSeconds(pidOf(service)));
  await sleep(idleSeconds * 1000);
  return services.flatMap((service, index): Figure[] => {
    const { name } = service;
    const pid = pidOf(service);
    const isAgent = name.endsWith('agent');
    const share = ((cpuSeconds(pid) - (before[index] ?? 0)) / idleSeconds) * 100;
    return [
      {
        name: `${name}: resident memory, ${podCount} pods`,
        unit: 'MB',
        better: 'lower',
        ours: [rssMb(pid)],
        ...(isAgent ? { target: { kind: 'value', value: 120 }, peer: '220' } : {}),
      },
      {
        name: `${name}: idle processor time, ${podCount} pods`,
        unit: '%',
        better: 'lower',
        ours: [share],
        target: { kind: 'value', value: 0.5 },
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
      await addPods(lab);
      const resources = await measureResources(lab, settings);
      const imports = await measureImports(lab, settings);
      return [...imports, await measureRestarts(lab, settings), ...resources];
    }),
};
