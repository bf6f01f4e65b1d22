// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { checkedFlag } from '@weir/service';
import { Option } from 'commander';
import type { KubernetesAccessOptions } from './kubernetes-access.ts';

/** What the flags of {@link kubernetesFlags} say. */
export interface KubernetesFlags {
  readonly k8sApi?: string;
  readonly kubeconfig?: string;
}

// In place of an address: the one that Kubernetes tells its pods.
const inCluster = 'in-cluster';

function checkApi(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (text === inCluster || (url?.protocol === 'https:' && url.username === '')) return text;
  throw new WeirError(
    'INVALID_ARGUMENT',
    `"${text}" is neither "${inCluster}" nor an address like https://10.0.0.1:6443`,
  );
}

/** `--k8s-api` and `--kubeconfig`. */
export const kubernetesFlags = (): readonly Option[] => [
  new Option(
    '--k8s-api <address>',
    'Kubernetes by the service account of this pod: "in-cluster", or where its server is; with --kubeconfig, the address alone',
  ).argParser(checkedFlag(checkApi)),
  new Option('--kubeconfig <file>', 'Kubernetes by the address and the credentials of a file'),
];

/** Which Kubernetes the flags mean; undefined: none. */
export function kubernetesAccessFromFlags({
  k8sApi,
  kubeconfig,
}: KubernetesFlags): KubernetesAccessOptions | undefined {
  if (k8sApi === undefined && kubeconfig === undefined) return undefined;
  return { kubeconfig, server: k8sApi === inCluster ? undefined : k8sApi };
}
