// SPDX-License-Identifier: Apache-2.0
// A hundred changes of policy a second for a minute, while datagrams run that another policy allows all the time: how many
// changes the agent takes, how long one of them takes, and how many datagrams are lost to it, which should be none.
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentClient, Lab, Pod } from '@weir/lab';
import { WeirError } from '@weir/errors';
import { withLab } from './lib/bench-lab.ts';
import { type BenchPart, type BenchSettings, type Figure, quantile, startFlowWatch } from './lib/index.ts';
import { type FlowTotals } from './lib/flow-watch.ts';
import { startNetbenchServer } from './lib/netbench.ts';

const seconds = 60;
const periodMs = 10;
const port = 5301;
// 5,000 datagrams a second to each family would leave the agent little of a small machine.
const intervalUs = 1_000;
const bystanders = 8;

const apiVersion = 'cilium.io/v2';
const kind = 'CiliumNetworkPolicy';
const labelled = (app: string): object => ({ matchLabels: { app } });

const steady = [
  {
    ...{ apiVersion, kind, metadata: { name: 'steady' } },
    spec: {
      endpointSelector: labelled('server'),
      ingress: [
        { fromEndpoints: [labelled('client')], toPorts: [{ ports: [{ port: String(port), protocol: 'UDP' }] }] },
      ],
    },
  },
];

/** A policy of the same pod that has nothing to do with the datagrams, and says something else each time. */
const changed = (n: number): object => ({
  ...{ apiVersion, kind, metadata: { name: 'churn' } },
  spec: {
    endpointSelector: labelled('server'),
    ingress: [
      { fromEndpoints: [labelled(`pod${n % bystanders}`)], toPorts: [{ ports: [{ port: String(9000 + (n % 50)) }] }] },
      { fromCIDR: [`192.0.2.${n % 256}/32`] },
      { toPorts: [{ ports: [{ port: '9100', endPort: 9100 + (n % 100), protocol: 'TCP' }] }] },
    ],
    ingressDeny: [{ fromEndpoints: [labelled(`pod${(n + 1) % bystanders}`)] }],
  },
});

async function change(agent: AgentClient, policies: readonly object[]): Promise<void> {
  const files = [
    { name: 'churn.json', content: Buffer.from(policies.map((each) => JSON.stringify(each)).join('\n---\n')) },
  ];
  const { problems } = await agent.importPolicy({ files });
  if (problems.length > 0) throw new WeirError('INVALID_ARGUMENT', JSON.stringify(problems));
}

interface Churn {
  readonly perSecond: number;
  readonly timesMs: readonly number[];
}

/** Changes policy at a steady rate, or as fast as the agent takes it where that is slower. */
async function churn(agent: AgentClient, { signal }: BenchSettings): Promise<Churn> {
  const timesMs: number[] = [];
  const startMs = performance.now();
  for (let n = 0; performance.now() - startMs < seconds * 1_000; n++) {
    signal.throwIfAborted();
    const due = sleep(periodMs);
    const before = performance.now();
    await change(agent, [changed(n)]);
    timesMs.push(performance.now() - before);
    await due;
  }
  return { perSecond: (timesMs.length / (performance.now() - startMs)) * 1_000, timesMs };
}

async function measure(lab: Lab, pods: { server: Pod; client: Pod }, settings: BenchSettings): Promise<Figure[]> {
  const { server, client } = pods;
  const agent = lab.agent();
  const echo = await startNetbenchServer({ netns: server.netns, port });
  try {
    await change(agent, steady);
    const watches = [server.ipv4, server.ipv6].map((address) =>
      startFlowWatch({ netns: client.netns, address, port, intervalUs }),
    );
    const ends = async (): Promise<FlowTotals[]> => Promise.all(watches.map((watch) => watch.stop()));
    for (const watch of watches) await watch.change('open', 0n);
    const { perSecond, timesMs } = await churn(agent, settings).catch(async (error: unknown) => {
      await ends();
      throw error;
    });
    const totals = await ends();
    const sent = totals.reduce((sum, each) => sum + each.sent, 0);
    const lost = totals.reduce((sum, each) => sum + each.lost, 0);
    const time = (q: number): Pick<Figure, 'unit' | 'better' | 'ours'> => ({
      ...{ unit: 'ms', better: 'lower', ours: [quantile(timesMs, q)] },
    });
    return [
      { name: 'changes of policy', unit: '1/s', better: 'higher', ours: [perSecond] },
      { name: 'one change, p50', ...time(0.5) },
      { name: 'one change, p99', ...time(0.99) },
      { name: 'datagrams sent meanwhile', unit: '', better: 'higher', ours: [sent] },
      { name: 'datagrams lost', unit: '', better: 'lower', ours: [lost], target: { kind: 'value', value: 0 } },
    ];
  } finally {
    agent.close();
    await echo.stop();
  }
}

export const part: BenchPart = {
  name: 'policy-churn',
  run: (settings) =>
    withLab('benchchurn', async (lab) => {
      const add = (name: string): Promise<Pod> => lab.addPod({ name, labels: { app: name } });
      const [server, client] = await Promise.all([add('server'), add('client')]);
      await Promise.all(Array.from({ length: bystanders }, (_, index) => add(`pod${index}`)));
      await settings.step(`changes of policy for ${seconds} s`, () => measure(lab, { server, client }, settings));
    }),
};
