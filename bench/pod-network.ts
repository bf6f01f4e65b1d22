// SPDX-License-Identifier: Apache-2.0
// The path between two pods of a node, with policy on and somebody watching every event, against the least a path can be:
// plain veth pairs and a router. Round trips run on one CPU, where they cost what the path costs; streams on two.
import { createRpcClient } from '@weir/rpc';
import { AgentServiceDefinition } from '@weir/proto';
import type { Lab, Pod } from '@weir/lab';
import {
  type BenchPart,
  type BenchSettings,
  createPlainPath,
  type Figure,
  interleaved,
  netbench,
  type NetbenchTest,
  type PlainPath,
  startNetbenchServer,
} from './lib/index.ts';
import { withLab } from './lib/bench-lab.ts';

const port = 5301;

const policy = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: bench }
spec:
  endpointSelector: { matchLabels: { app: bench-server } }
  ingress:
    - fromEndpoints: [{ matchLabels: { app: bench-client } }]
      toPorts: [{ ports: [{ port: '${port}', protocol: TCP }, { port: '${port + 1}', protocol: UDP }, { port: '${port}', protocol: UDP }] }]
`;

interface Case {
  readonly name: string;
  readonly test: NetbenchTest;
  readonly family: 'ipv4' | 'ipv6';
  readonly connections?: number;
  readonly target: number;
  readonly peer?: string;
}

const cases: readonly Case[] = [
  { name: 'TCP_RR', test: 'tcp_rr', family: 'ipv4', target: 1.0, peer: '0.95' },
  { name: 'UDP_RR', test: 'udp_rr', family: 'ipv4', target: 1.0, peer: '0.95' },
  { name: 'TCP_CRR', test: 'tcp_crr', family: 'ipv4', target: 0.95, peer: '0.35' },
  { name: 'TCP_RR, IPv6', test: 'tcp_rr', family: 'ipv6', target: 1.0 },
  { name: 'TCP_CRR, IPv6', test: 'tcp_crr', family: 'ipv6', target: 0.95 },
  { name: '1 stream', test: 'tcp_stream', family: 'ipv4', connections: 1, target: 1.0, peer: '0.95' },
  { name: '4 streams', test: 'tcp_stream', family: 'ipv4', connections: 4, target: 1.0, peer: '0.84' },
];

interface Ends {
  readonly client: { readonly netns: string };
  readonly server: { readonly netns: string; readonly ipv4: string; readonly ipv6: string };
}

/** A stream keeps both ends busy; a round trip is one after the other. */
const cpusOf = (test: NetbenchTest): { readonly client: number; readonly server: number } =>
  test === 'tcp_stream' ? { client: 0, server: 1 } : { client: 1, server: 1 };

async function measure(ends: Ends, spec: Case, durationMs: number): Promise<number> {
  const cpus = cpusOf(spec.test);
  const server = await startNetbenchServer({ netns: ends.server.netns, port, cpu: cpus.server });
  try {
    const result = await netbench({
      test: spec.test,
      netns: ends.client.netns,
      address: ends.server[spec.family],
      port,
      durationMs,
      cpu: cpus.client,
      ...(spec.connections === undefined ? {} : { connections: spec.connections }),
    });
    return result.perSecond ?? result.gbitPerSecond ?? 0;
  } finally {
    await server.stop();
  }
}

/** Reads all events of the node, as `weir monitor` does, until told to stop. */
function watchEverything(lab: Lab): () => void {
  const stopping = new AbortController();
  const { agentSocket } = lab.paths.node('node1');
  const agent = createRpcClient(AgentServiceDefinition, { address: `unix:${agentSocket}` });
  const read = async (): Promise<void> => {
    for await (const _ of agent.monitor({}, { signal: stopping.signal })) void _;
  };
  read().catch(() => undefined);
  return () => {
    stopping.abort();
    agent.close();
  };
}

async function measureAll(
  paths: { readonly plain: PlainPath; readonly weir: Ends },
  { runs, durationMs, say }: BenchSettings,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const spec of cases) {
    say(spec.name);
    const { plain, weir } = await interleaved({
      runs,
      variants: {
        plain: () => measure(paths.plain, spec, durationMs),
        weir: () => measure(paths.weir, spec, durationMs),
      },
    });
    figures.push({
      name: `${spec.name}, policy on, watched`,
      unit: spec.test === 'tcp_stream' ? 'Gbit/s' : '1/s',
      better: 'higher',
      ours: weir,
      baseline: { name: 'plain veth', values: plain },
      target: { kind: 'ratio', value: spec.target },
      ...(spec.peer === undefined ? {} : { peer: spec.peer }),
    });
  }
  return figures;
}

const endOf = ({ netns, ipv4, ipv6 }: Pod): Ends['server'] => ({ netns, ipv4, ipv6 });

export const part: BenchPart = {
  name: 'pod-network',
  run: (settings) =>
    withLab('benchnet', async (lab) => {
      const plain = await createPlainPath();
      const stop = watchEverything(lab);
      try {
        const client = await lab.addPod({ name: 'client', labels: { app: 'bench-client' } });
        const server = await lab.addPod({ name: 'server', labels: { app: 'bench-server' } });
        await lab.applyPolicy([{ name: 'bench.yaml', content: new TextEncoder().encode(policy) }]);
        return await measureAll({ plain, weir: { client: endOf(client), server: endOf(server) } }, settings);
      } finally {
        stop();
        await plain.remove();
      }
    }),
};
