// SPDX-License-Identifier: Apache-2.0
import { firstCpu, secondCpu } from './cpus.ts';
import { netbench, type NetbenchTest, startNetbenchServer } from './netbench.ts';

const port = 5301;

/** Lets clients of paths through pods reach their servers, and nobody else. */
export const pathPolicy = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: bench }
spec:
  endpointSelector: { matchLabels: { app: bench-server } }
  ingress:
    - fromEndpoints: [{ matchLabels: { app: bench-client } }]
      toPorts: [{ ports: [{ port: '${port}', protocol: ANY }, { port: '${port + 1}', protocol: TCP }] }]
`;

/** What is measured on a path. */
export interface PathTest {
  readonly test: NetbenchTest;
  readonly family: 'ipv4' | 'ipv6';
  readonly connections?: number;
}

/** Between whom: network namespaces as `ip netns` names them. */
export interface PathEnds {
  readonly client: { readonly netns: string };
  readonly server: { readonly netns: string; readonly ipv4: string; readonly ipv6: string };
}

/** A stream keeps both ends busy; a round trip is one after the other. */
const cpusOf = (test: NetbenchTest): { readonly client: number; readonly server: number } => ({
  client: test === 'tcp_stream' ? firstCpu : secondCpu,
  server: secondCpu,
});

/** One run: round trips or connections a second, or Gbit/s. */
export async function measurePath(
  path: { readonly ends: PathEnds; readonly durationMs: number },
  { test, family, connections }: PathTest,
): Promise<number> {
  const { ends, durationMs } = path;
  const cpus = cpusOf(test);
  const server = await startNetbenchServer({ netns: ends.server.netns, port, cpu: cpus.server });
  try {
    const result = await netbench({
      ...{ test, netns: ends.client.netns, address: ends.server[family], port, durationMs, cpu: cpus.client },
      ...(connections === undefined ? {} : { connections }),
    });
    return result.perSecond ?? result.gbitPerSecond ?? 0;
  } finally {
    await server.stop();
  }
}
