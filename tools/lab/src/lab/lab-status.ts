// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { DualStack } from '../network/plan.ts';
import { createPodStore } from '../pods/pod-store.ts';
import type { ServiceStatus } from '../supervisor/api.ts';
import { componentStatus, type AgentClient, type ComponentStatus } from './agent-client.ts';
import type { OpenLab } from './lab-context.ts';
import { withAgents } from './with-agents.ts';

/** A node as its agent sees it. */
export interface NodeStatus {
  readonly name: string;
  readonly netns: string;
  readonly address: DualStack;
  readonly podRange: DualStack;
  readonly agentSocket: string;
  readonly pods: number;
  readonly agent:
    | {
        readonly kind: 'answering';
        readonly components: readonly ComponentStatus[];
        readonly policyRevision: number;
        readonly podRange: DualStack;
      }
    | { readonly kind: 'silent'; readonly reason: string };
}

export interface LabStatus {
  readonly name: string;
  readonly directory: string;
  readonly createdMs: number;
  /** Undefined when it does not answer: the lab has died. */
  readonly supervisorPid?: number;
  readonly services: readonly ServiceStatus[];
  readonly nodes: readonly NodeStatus[];
  readonly podCount: number;
}

/** Asks everybody how they are; who does not answer within a second is reported as such. */
export async function readLabStatus(lab: OpenLab): Promise<LabStatus> {
  const [supervisor, pods] = await Promise.all([
    lab.supervisor.status().catch(() => undefined),
    createPodStore(lab.paths.podDirectory).list(),
  ]);
  const podsOf = (node: string): number => pods.filter((pod) => pod.node === node).length;
  const agents = await withAgents(lab, (clients) => Promise.all(clients.map(agentStatus)));
  return {
    name: lab.paths.name,
    directory: lab.paths.directory,
    createdMs: lab.spec.createdMs,
    ...(supervisor && { supervisorPid: supervisor.pid }),
    services: supervisor?.services ?? [],
    nodes: lab.network.nodes.map(({ name, netns, address, podRange }, i) => ({
      name,
      netns,
      address,
      podRange: podRangeOf(agents[i]) ?? podRange,
      agentSocket: lab.paths.node(name).agentSocket,
      pods: podsOf(name),
      agent: agents[i] ?? { kind: 'silent', reason: 'not asked' },
    })),
    podCount: pods.length,
  };
}

/** What the agent says; the lab's own plan need not be what operators have given. */
const podRangeOf = (agent: NodeStatus['agent'] | undefined): DualStack | undefined =>
  agent?.kind === 'answering' && agent.podRange.ipv4 !== '' ? agent.podRange : undefined;

async function agentStatus(agent: AgentClient): Promise<NodeStatus['agent']> {
  try {
    const { components, policyRevision, ...status } = await agent.getStatus({}, { deadlineMs: 1_000 });
    const podRange = { ipv4: status.ipv4Range, ipv6: status.ipv6Range };
    return { kind: 'answering', components: components.map(componentStatus), policyRevision, podRange };
  } catch (error) {
    return { kind: 'silent', reason: WeirError.from(error).message };
  }
}
