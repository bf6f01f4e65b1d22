// SPDX-License-Identifier: Apache-2.0
import type { Lab, Pod } from '@weir/lab';
import { AgentServiceDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { WeirError } from '@weir/errors';
import { type Fate, type FlowWatch, startFlowWatch } from './flow-watch.ts';
import { startNetbenchServer } from './netbench.ts';

const port = 5301;
const importDeadlineMs = 10_000;

/** What one import took, from the call on. */
export interface ToggleTimes {
  /** The flow that was opened, or that was cut. */
  readonly fate: Fate;
  /** Until the call came back. */
  readonly answeredMs: number;
  /** Until the first datagram of a flow under way was treated as the new policy wants it. */
  readonly enforcedMs: number;
}

/** Opens and closes the way between two pods by policy, in turn, while datagrams run on it. */
export interface PolicyToggle {
  /** Imports the other policy. `sinceNs` of `process.hrtime.bigint()` is where the times begin; now, unless told. */
  toggle(sinceNs?: bigint): Promise<ToggleTimes>;
  stop(): Promise<void>;
}

type Agent = RpcClient<typeof AgentServiceDefinition>;

/** Lets the client in on the port that is watched, or on another one. */
const policyFile = (fate: Fate): { readonly name: string; readonly content: Uint8Array } => ({
  name: 'bench-toggle.yaml',
  content: new TextEncoder().encode(`apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: bench-toggle }
spec:
  endpointSelector: { matchLabels: { app: bench-1 } }
  ingress:
    - fromEndpoints: [{ matchLabels: { app: bench-2 } }]
      toPorts: [{ ports: [{ port: '${fate === 'open' ? port : port + 1}', protocol: UDP }] }]
`),
});

async function importPolicy(agent: Agent, fate: Fate): Promise<void> {
  const { problems } = await agent.importPolicy({ files: [policyFile(fate)] });
  if (problems.length > 0) throw new WeirError('INVALID_ARGUMENT', JSON.stringify(problems));
}

/** Tries with a connection of its own each time, as a user does, until there is an agent that takes it. */
async function importUntilTaken(socket: string, fate: Fate): Promise<void> {
  for (const deadline = performance.now() + importDeadlineMs; ;) {
    const agent = createRpcClient(AgentServiceDefinition, { address: `unix:${socket}` });
    try {
      return await importPolicy(agent, fate);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    } finally {
      agent.close();
    }
  }
}

const msBetween = (fromNs: bigint, toNs: bigint): number => Number(toNs - fromNs) / 1e6;

async function begin(watch: FlowWatch, agent: Agent): Promise<Fate> {
  const before = process.hrtime.bigint();
  await importPolicy(agent, 'closed');
  await watch.change('closed', before);
  return 'closed';
}

/** Starts datagrams from a pod with the label `app: bench-2` to one with `app: bench-1`. */
export async function startPolicyToggle(
  lab: Lab,
  { client, server }: { readonly client: Pod; readonly server: Pod },
): Promise<PolicyToggle> {
  const socket = lab.paths.node('node1').agentSocket;
  const agent = createRpcClient(AgentServiceDefinition, { address: `unix:${socket}` });
  const echo = await startNetbenchServer({ netns: server.netns, port });
  const watch = startFlowWatch({ netns: client.netns, address: server.ipv4, port });
  await watch.change('open', 0n);
  let fate = await begin(watch, agent);
  return {
    async toggle(sinceNs) {
      fate = fate === 'open' ? 'closed' : 'open';
      const startNs = process.hrtime.bigint();
      if (sinceNs === undefined) await importPolicy(agent, fate);
      else await importUntilTaken(socket, fate);
      const answeredNs = process.hrtime.bigint();
      const enforcedNs = await watch.change(fate, startNs);
      const since = sinceNs ?? startNs;
      return { fate, answeredMs: msBetween(since, answeredNs), enforcedMs: msBetween(since, enforcedNs) };
    },
    async stop() {
      agent.close();
      await watch.stop();
      await echo.stop();
    },
  };
}
