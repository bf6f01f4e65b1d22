// SPDX-License-Identifier: Apache-2.0
import { formatLabel, type Label, type LabelSource } from './label.ts';
import { createLabelSet, type LabelSet } from './label-set.ts';

/** Label keys by which policies recognise what only the platform may say about a pod. */
export const wellKnownLabelKey = {
  namespace: 'io.kubernetes.pod.namespace',
  cluster: 'io.cilium.k8s.policy.cluster',
  serviceAccount: 'io.cilium.k8s.policy.serviceaccount',
  /** Followed by the key of a label of the pod's namespace. */
  namespaceLabelPrefix: 'io.cilium.k8s.namespace.labels.',
} as const;

/** The value of the cluster label when no other name is configured. */
export const defaultClusterName = 'default';

/** What the platform and the user say about a pod. */
export interface PodDescription {
  readonly namespace: string;
  /** What the user wrote on the pod. */
  readonly labels: Readonly<Record<string, string>>;
  /** Source of the user's labels; default `k8s`. */
  readonly source?: Exclude<LabelSource, 'any' | 'reserved'>;
  /** Default {@link defaultClusterName}. */
  readonly cluster?: string;
  readonly serviceAccount?: string;
  readonly namespaceLabels?: Readonly<Record<string, string>>;
}

/**
 * Whether only the platform may set a label: one with the source `reserved`, or one whose key tells a pod's namespace,
 * cluster or service account, whatever its source, because selectors without a source match every source.
 */
export function isProtectedLabel(label: Pick<Label, 'source' | 'key'>): boolean {
  const { namespace, cluster, serviceAccount } = wellKnownLabelKey;
  return (
    label.source === 'reserved' ||
    label.key === namespace ||
    label.key === cluster ||
    label.key === serviceAccount ||
    label.key.startsWith(wellKnownLabelKey.namespaceLabelPrefix)
  );
}

/**
 * All labels of a pod: the platform's, with source `k8s`, and the user's. Labels that only the platform may set are left
 * out of the user's and named in `ignored`: a pod must start whatever its author wrote, and must not become somebody
 * else by it. A malformed label is INVALID_ARGUMENT.
 */
export function podLabels(pod: PodDescription): { readonly labels: LabelSet; readonly ignored: readonly string[] } {
  const source = pod.source ?? 'k8s';
  const k8s = (key: string, value: string): Label => ({ source: 'k8s', key, value });
  const labels: Label[] = [
    k8s(wellKnownLabelKey.namespace, pod.namespace),
    k8s(wellKnownLabelKey.cluster, pod.cluster ?? defaultClusterName),
  ];
  if (pod.serviceAccount !== undefined) labels.push(k8s(wellKnownLabelKey.serviceAccount, pod.serviceAccount));
  for (const [key, value] of Object.entries(pod.namespaceLabels ?? {})) {
    labels.push(k8s(wellKnownLabelKey.namespaceLabelPrefix + key, value));
  }
  const ignored: string[] = [];
  for (const [key, value] of Object.entries(pod.labels)) {
    const label: Label = { source, key, value };
    if (isProtectedLabel(label)) ignored.push(formatLabel(label));
    else labels.push(label);
  }
  return { labels: createLabelSet(labels), ignored };
}
