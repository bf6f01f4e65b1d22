// SPDX-License-Identifier: Apache-2.0
// Services: what a connection costs through one of many, against the same pod called directly, and against the rules that
// kube-proxy would have written; and how fast many of them, and one change of one of them, are in force. Both ends run on one
// CPU, where a connection costs what its path costs.
import { readFileSync } from 'node:fs';
import { ServiceServiceDefinition, type weir } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { WeirError } from '@weir/errors';
import type { Lab } from '@weir/lab';
import { withLab } from './lib/bench-lab.ts';
import {
  type BenchPart,
  type BenchSettings,
  createKubeProxyPath,
  type Figure,
  interleaved,
  type KubeProxyMode,
  type KubeProxyPath,
  netbench,
  quantile,
  startNetbenchServer,
} from './lib/index.ts';

type Services = RpcClient<typeof ServiceServiceDefinition>;
type Service = weir.service.v1.IService;

const port = 5311;
const cpu = 1;
const levels = [1, 100, 10_000, 100_000] as const;
const programmed = { services: 10_000, backends: 10 } as const;
const changesPerRun = 200;
const portion = 500;
const measuredAddress = '10.96.0.1';

const host = (index: number): string => `${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;

/** A service that nobody calls. */
const filler = (index: number, backends: number): Service => ({
  name: `filler-${index}`,
  frontends: [{ address: `10.${host(index + 0x610000)}`, port: 80 }],
  backends: Array.from({ length: backends }, (_, at) => ({ address: `11.${host(index * 16 + at + 1)}`, port: 8080 })),
});

function refuseProblems(outcomes: readonly weir.service.v1.IServiceOutcome[]): void {
  const problem = outcomes.find((each) => each.problem)?.problem;
  if (problem) throw new WeirError('FAILED_PRECONDITION', `A service was refused: ${problem}`);
}

async function upsert(services: Services, all: readonly Service[]): Promise<void> {
  for (let start = 0; start < all.length; start += portion) {
    const { outcomes } = await services.upsertServices({ services: all.slice(start, start + portion) });
    refuseProblems(outcomes);
  }
}

async function remove(services: Services, all: readonly Service[]): Promise<void> {
  for (let start = 0; start < all.length; start += portion) {
    const names = all.slice(start, start + portion).map(({ name = '' }) => ({ name }));
    refuseProblems((await services.deleteServices({ services: names })).outcomes);
  }
}

const fillers = (from: number, to: number, backends = 1): Service[] =>
  Array.from({ length: to - from }, (_, index) => filler(from + index, backends));

type Rates = Readonly<Record<'service' | 'direct' | KubeProxyMode, readonly number[]>>;

interface Compared {
  /** Makes so many services for all that is compared. */
  prepare(level: number): Promise<void>;
  /** Connections a second. */
  readonly variants: Readonly<Record<keyof Rates, () => Promise<number>>>;
}

/** Figures of one number of services: ours beside each of the others. */
function figuresOf(level: number, rates: Rates): Figure[] {
  const name = `TCP_CRR to one of ${level.toLocaleString('en')} services`;
  const common = { unit: '1/s', better: 'higher', ours: rates.service } as const;
  return [
    {
      ...{ ...common, name, baseline: { name: 'pod directly', values: rates.direct } },
      ...{ target: { kind: 'ratio', value: 0.97 }, ...(level === 10_000 ? { peer: '0.97' } : {}) },
    },
    ...(['iptables', 'nftables'] as const).map((mode): Figure => ({
      ...{ ...common, name: `${name}, beside ${mode}` },
      baseline: { name: `${mode}, as kube-proxy`, values: rates[mode] },
    })),
  ];
}

/** With more and more services around. */
async function compare({ prepare, variants }: Compared, { runs, signal, step }: BenchSettings): Promise<void> {
  const first: number[] = [];
  for (const level of levels) {
    await step(`TCP_CRR, ${level} services`, async () => {
      await prepare(level);
      const rates = await interleaved({ runs, signal, variants });
      if (level === levels[0]) first.push(...rates.service);
      const figures = figuresOf(level, rates);
      if (level !== levels.at(-1)) return figures;
      return [
        ...figures,
        {
          ...{ name: `TCP_CRR with ${level.toLocaleString('en')} services beside 1`, unit: '1/s', better: 'higher' },
          ...{ ours: rates.service, baseline: { name: '1 service', values: first } },
          target: { kind: 'ratio', value: 0.98 },
        },
      ];
    });
  }
}

const listen = (netns: string) => startNetbenchServer({ netns, port, cpu });

/** TCP_CRR through a service beside the pod behind it, and beside what kube-proxy does between plain namespaces. */
async function measureConnections(lab: Lab, services: Services, settings: BenchSettings): Promise<void> {
  const { durationMs } = settings;
  await using cleanup = new AsyncDisposableStack();
  const client = await lab.addPod({ name: 'client' });
  const server = await lab.addPod({ name: 'server' });
  const { cgroup } = await lab.place('client');
  const rate = async (netns: string, address: string, place: { readonly cgroup?: string } = {}): Promise<number> =>
    (await netbench({ test: 'tcp_crr', netns, address, port, durationMs, cpu, ...place })).perSecond ?? 0;
  const path = async (mode: KubeProxyMode): Promise<KubeProxyPath> => {
    const made = cleanup.adopt(await createKubeProxyPath(mode, port), (each) => each.remove());
    cleanup.adopt(await listen(made.server.netns), (each) => each.stop());
    return made;
  };
  const paths = { iptables: await path('iptables'), nftables: await path('nftables') };
  cleanup.adopt(await listen(server.netns), (each) => each.stop());
  const backends = [{ address: server.ipv4, port }];
  await upsert(services, [{ name: 'measured', frontends: [{ address: measuredAddress, port }], backends }]);
  let present = 1;
  cleanup.defer(() => remove(services, [{ name: 'measured' }, ...fillers(1, present)]));
  await compare(
    {
      async prepare(level) {
        await upsert(services, fillers(present, level));
        present = level;
        for (const each of Object.values(paths)) await each.load(level);
      },
      variants: {
        service: () => rate(client.netns, measuredAddress, { cgroup }),
        direct: () => rate(client.netns, server.ipv4, { cgroup }),
        iptables: () => rate(paths.iptables.client.netns, paths.iptables.address),
        nftables: () => rate(paths.nftables.client.netns, paths.nftables.address),
      },
    },
    settings,
  );
}

async function rssMb(lab: Lab): Promise<number> {
  const agent = (await lab.services()).find(({ name }) => name === 'node1/agent');
  if (agent?.state.kind !== 'running') throw new WeirError('FAILED_PRECONDITION', 'The agent is not running');
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${agent.state.pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** All of them from nothing, and then one backend of one of them more and less. */
async function measureProgramming(lab: Lab, services: Services, { runs, signal }: BenchSettings): Promise<Figure[]> {
  const all = fillers(1, 1 + programmed.services, programmed.backends);
  const seconds: number[] = [];
  const p99s: number[] = [];
  const memory: number[] = [];
  for (let run = 0; run < runs; run++) {
    signal.throwIfAborted();
    const start = performance.now();
    await upsert(services, all);
    seconds.push((performance.now() - start) / 1000);
    memory.push(await rssMb(lab));
    const times: number[] = [];
    for (let change = 0; change < changesPerRun; change++) {
      const changed = filler(1 + change * 7, programmed.backends + (change % 2 === 0 ? 1 : 0));
      const before = performance.now();
      await upsert(services, [changed]);
      times.push(performance.now() - before);
    }
    p99s.push(quantile(times, 0.99));
    await remove(services, all);
  }
  const what = `${programmed.services.toLocaleString('en')} services × ${programmed.backends} backends`;
  const lower = { better: 'lower' } as const;
  return [
    { ...lower, name: `${what} in force, on disk too`, unit: 's', ours: seconds, target: { kind: 'value', value: 2 } },
    { ...lower, name: `one backend of ${what}, p99`, unit: 'ms', ours: p99s, target: { kind: 'value', value: 5 } },
    { ...lower, name: `agent with ${what}, resident`, unit: 'MB', ours: memory, peer: '311 with 10,000 services' },
  ];
}

export const part: BenchPart = {
  name: 'services',
  run: (settings) =>
    withLab('benchsvc', async (lab) => {
      const address = `unix:${lab.paths.node('node1').agentSocket}`;
      const services = createRpcClient(ServiceServiceDefinition, { address, deadlineMs: 60_000 });
      try {
        await settings.step('programming', () => measureProgramming(lab, services, settings));
        await measureConnections(lab, services, settings);
      } finally {
        services.close();
      }
    }),
};
