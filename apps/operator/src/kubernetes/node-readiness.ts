// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { hasStatus, type KubernetesApi, type WatchedResource } from '@weir/kubernetes';
import type { KubernetesNode } from './kubernetes-node.ts';

/** An agent's pod: on which node, and whether it is ready. */
export interface AgentPod {
  readonly node: string;
  readonly isReady: boolean;
}

interface Pod {
  readonly metadata: { readonly deletionTimestamp?: string };
  readonly spec?: { readonly nodeName?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** The pods of agents. */
export const agentPodsResource = (namespace: string, labelSelector: string): WatchedResource<AgentPod> => ({
  ...{ name: 'pods', path: `/api/v1/namespaces/${namespace}/pods`, labelSelector },
  read(object) {
    const { metadata, spec, status } = object as Pod;
    if (spec?.nodeName === undefined) return undefined;
    const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
    return { node: spec.nodeName, isReady: isReady && metadata.deletionTimestamp === undefined };
  },
});

/** Keys of the taints that nodes start with so that no pod comes before its network: ours, and the one that people have. */
export const notReadyTaints: readonly string[] = ['weir.io/agent-not-ready', 'node.cilium.io/agent-not-ready'];
const readyReason = 'WeirIsUp';

export interface NodeReadinessOptions {
  readonly api: KubernetesApi;
  readonly nodes: ReadonlyMap<string, KubernetesNode>;
  readonly agents: ReadonlyMap<string, AgentPod>;
  readonly clock: Clock;
}

/**
 * Tells Kubernetes of nodes that have a network now: takes the taint off that kept pods away, and says so in the node's conditions.
 * A node whose agent goes stays as it is: its pods go on talking.
 */
export function createNodeReadiness({ api, nodes, agents, clock }: NodeReadinessOptions) {
  const dropTaints = async (name: string, { taints }: KubernetesNode): Promise<boolean> => {
    const kept = taints.filter(({ key }) => !notReadyTaints.includes(key));
    if (kept.length === taints.length) return false;
    // Taints of others come and go at the same time: only if they are still those that were looked at.
    const patch = [
      { op: 'test', path: '/spec/taints', value: taints },
      { op: 'replace', path: '/spec/taints', value: kept },
    ];
    await api.request({
      ...{ method: 'PATCH', path: `/api/v1/nodes/${name}`, body: patch, contentType: 'application/json-patch+json' },
    });
    return true;
  };
  const sayNetwork = async (name: string, { networkUnavailable }: KubernetesNode): Promise<boolean> => {
    if (networkUnavailable?.status === 'False') return false;
    const now = new Date(clock.nowMs()).toISOString();
    const condition = {
      ...{ type: 'NetworkUnavailable', status: 'False', reason: readyReason, message: 'Weir runs on this node' },
      ...{ lastTransitionTime: now, lastHeartbeatTime: now },
    };
    await api.request({
      ...{ method: 'PATCH', path: `/api/v1/nodes/${name}/status`, body: { status: { conditions: [condition] } } },
      contentType: 'application/strategic-merge-patch+json',
    });
    return true;
  };
  return {
    /** True when something was written. */
    async reconcile(name: string): Promise<boolean> {
      const node = nodes.get(name);
      const isReady = [...agents.values()].some((agent) => agent.node === name && agent.isReady);
      if (node === undefined || !isReady) return false;
      try {
        // The condition first: whoever waits for the taint to go finds all in order then.
        const said = await sayNetwork(name, node);
        return (await dropTaints(name, node)) || said;
      } catch (error) {
        if (hasStatus(error, 404)) return false;
        throw error;
      }
    },
  };
}
