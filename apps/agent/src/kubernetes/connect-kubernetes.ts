// SPDX-License-Identifier: Apache-2.0
import { createKubernetesApi, type KubernetesApi, openKubernetesAccess } from '@weir/kubernetes';
import type { Logger } from '@weir/telemetry';
import type { AgentOptions } from '../options.ts';
import { acquireOwnNode, podRangesOf } from './own-node.ts';

/** What is needed of Kubernetes before a node can be opened. */
export interface KubernetesConnection {
  readonly api: KubernetesApi;
  /** With what Kubernetes says of this node where the command line says nothing. */
  readonly options: AgentOptions;
}

/** Undefined without Kubernetes. Waits for a node that it has not heard of yet. */
export async function connectKubernetes(
  options: AgentOptions,
  logger: Logger,
): Promise<KubernetesConnection | undefined> {
  const { kubernetes, nodeName, stateDir, operator, arePodRangesGiven } = options;
  if (kubernetes === undefined) return undefined;
  const api = createKubernetesApi(await openKubernetesAccess(kubernetes));
  const path = `${stateDir}/kubernetes-node.json`;
  const needsRanges = !arePodRangesGiven && operator === undefined;
  const node = await acquireOwnNode({ api, node: nodeName, needsRanges, path, logger });
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`);
  const ranges = needsRanges ? podRangesOf(node) : { ipv4: options.ipv4Range, ipv6: options.ipv6Range };
  return {
    api,
    options: {
      ...{ ...options, ipv4Range: ranges.ipv4, ipv6Range: ranges.ipv6 },
      nodeLabels: [...new Set([...labels, ...options.nodeLabels])],
    },
  };
}
