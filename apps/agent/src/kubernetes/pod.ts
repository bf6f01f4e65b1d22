// SPDX-License-Identifier: Apache-2.0
import type { V1Pod } from '@kubernetes/client-node';
import { canonicalNamedPorts, isPortName, isProtectedLabel, type NamedPort, parseProtocol } from '@weir/model';

/** What is of interest about a pod of this node. */
export interface KubernetesPod {
  readonly uid: string;
  /** Without those that only the platform may set. */
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly namedPorts: readonly NamedPort[];
}

const allowedLabels = (labels: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).filter(([key]) => !isProtectedLabel({ source: 'k8s', key })));

function namedPortsOf({ spec }: V1Pod): readonly NamedPort[] {
  // Sidecars are init containers that stay.
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const ports = containers.flatMap(({ ports: given = [] }) =>
    given.flatMap(({ name = '', containerPort, protocol = 'TCP' }): NamedPort[] => {
      if (!isPortName(name)) return [];
      return [{ name: name.toLowerCase(), protocol: parseProtocol(protocol), port: containerPort }];
    }),
  );
  return canonicalNamedPorts(ports);
}

/** Pods in their node's network namespace are no endpoints, and of no interest. */
export function readPod(pod: V1Pod): KubernetesPod | undefined {
  if (pod.spec?.hostNetwork === true) return undefined;
  return {
    uid: pod.metadata?.uid ?? '',
    labels: allowedLabels(pod.metadata?.labels ?? {}),
    serviceAccount: pod.spec?.serviceAccountName ?? 'default',
    namedPorts: namedPortsOf(pod),
  };
}
