// SPDX-License-Identifier: Apache-2.0
import { createAgentClient, type AgentClient } from './agent-client.ts';
import type { OpenLab } from './lab-context.ts';

/** Calls the agents of some nodes, of all by default, and lets go of them afterwards. */
export async function withAgents<Result>(
  lab: OpenLab,
  work: (agents: readonly AgentClient[]) => Promise<Result>,
  nodes: readonly string[] = lab.network.nodes.map(({ name }) => name),
): Promise<Result> {
  const agents = nodes.map((node) => createAgentClient(lab.paths.node(node).agentSocket));
  try {
    return await work(agents);
  } finally {
    for (const agent of agents) agent.close();
  }
}
