// SPDX-License-Identifier: Apache-2.0
// The path between two pods of a node, with policy on and then with somebody watching every event too, against the least a
// path can be: plain veth pairs and a router. Round trips run on one CPU, where they cost what the path costs; streams on two.
import { setTimeout as sleep } from 'node:timers/promises';
import { createRpcClient } from '@weir/rpc';
import { AgentServiceDefinition } from '@weir/proto';
import type { Lab } from '@weir/lab';
import { type BenchPart, type BenchSettings, createPlainPath, type Figure, interleaved } from './lib/index.ts';
import { withLab } from './lib/bench-lab.ts';
import { measurePath, pathPolicy, type PathEnds, type PathTest } from './lib/measure-path.ts';

const ringPollMs = 100;

interface Case extends PathTest {
  readonly name: string;
  readonly target: number;
  /** Of the peer: with a policy, and watched. */
  readonly peers?: readonly [policy: string, watched?: string];
}

const cases: readonly Case[] = [
  { name: 'TCP_RR', test: 'tcp_rr', family: 'ipv4', target: 1.0, peers: ['0.98', '0.96'] },
  { name: 'UDP_RR', test: 'udp_rr', family: 'ipv4', target: 1.0, peers: ['0.91', '0.95'] },
  { name: 'TCP_CRR', test: 'tcp_crr', family: 'ipv4', target: 0.95, peers: ['0.86', '0.35'] },
  { name: '1 stream', test: 'tcp_stream', family: 'ipv4', connections: 1, target: 1.0, peers: ['0.81'] },
  { name: '4 streams', test: 'tcp_stream', family: 'ipv4', connections: 4, target: 1.0, peers: ['0.88'] },
  { name: 'TCP_RR, IPv6', test: 'tcp_rr', family: 'ipv6', target: 1.0 },
  { name: 'TCP_CRR, IPv6', test: 'tcp_crr', family: 'ipv6', target: 0.95 },
];

interface Paths {
  readonly plain: PathEnds;
  readonly weir: PathEnds;
  readonly watcher: Watcher;
}

/** Reads all events of the node, as `weir monitor` does. */
interface Watcher {
  /** Reads them while a task runs. */
  during<Result>(task: () => Promise<Result>): Promise<Result>;
  /** How many it has read so far. */
  readonly events: number;
}

async function measureCase(paths: Paths, spec: Case, settings: BenchSettings): Promise<Figure[]> {
  const { durationMs } = settings;
  const { watcher } = paths;
  const weir = (): Promise<number> => measurePath({ ends: paths.weir, durationMs }, spec);
  const eventsPerConnection: number[] = [];
  const { plain, policy, watched } = await interleaved({
    ...settings,
    variants: {
      plain: () => measurePath({ ends: paths.plain, durationMs }, spec),
      policy: weir,
      watched: async () => {
        const before = watcher.events;
        const rate = await watcher.during(weir);
        eventsPerConnection.push((watcher.events - before) / ((rate * durationMs) / 1000));
        return rate;
      },
    },
  });
  const base = {
    unit: spec.test === 'tcp_stream' ? 'Gbit/s' : '1/s',
    better: 'higher',
    baseline: { name: 'plain veth', values: plain },
    target: { kind: 'ratio', value: spec.target },
  } as const;
  const [policyPeer, watchedPeer] = spec.peers ?? [];
  const peer = (text: string | undefined) => (text === undefined ? {} : { peer: text });
  return [
    { ...base, ...peer(policyPeer), name: `${spec.name}, policy on`, ours: policy },
    { ...base, ...peer(watchedPeer), name: `${spec.name}, policy on, watched`, ours: watched },
    ...(spec.test === 'tcp_crr'
      ? [eventsFigure(`${spec.name}: events read of each connection`, eventsPerConnection.slice(1))]
      : []),
  ];
}

/** What is sent above the kernel's limit of events is counted there and not read; so this tells what watching was. */
const eventsFigure = (name: string, ours: readonly number[]): Figure => ({ name, unit: '1', better: 'higher', ours });

function createWatcher(lab: Lab): Watcher {
  const { agentSocket } = lab.paths.node('node1');
  const counts = { events: 0 };
  return {
    async during(task) {
      const stopping = new AbortController();
      const agent = createRpcClient(AgentServiceDefinition, { address: `unix:${agentSocket}` });
      const read = async (): Promise<void> => {
        for await (const { type } of agent.monitor({}, { signal: stopping.signal }))
          if (type !== 'lost') counts.events++;
      };
      const reading = read().catch((error: unknown) => {
        if (!stopping.signal.aborted) throw error;
      });
      try {
        const result = await task();
        // The agent looks at the kernel's ring 20 times a second.
        await sleep(ringPollMs);
        return result;
      } finally {
        stopping.abort();
        await reading;
        agent.close();
      }
    },
    get events() {
      return counts.events;
    },
  };
}

export const part: BenchPart = {
  name: 'pod-network',
  run: (settings) =>
    withLab('benchnet', async (lab) => {
      const plain = await createPlainPath();
      try {
        const client = await lab.addPod({ name: 'client', labels: { app: 'bench-client' } });
        const server = await lab.addPod({ name: 'server', labels: { app: 'bench-server' } });
        await lab.applyPolicy([{ name: 'bench.yaml', content: new TextEncoder().encode(pathPolicy) }]);
        const paths = { plain, weir: { client, server }, watcher: createWatcher(lab) };
        for (const spec of cases) await settings.step(spec.name, () => measureCase(paths, spec, settings));
      } finally {
        await plain.remove();
      }
    }),
};
