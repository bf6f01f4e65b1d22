// SPDX-License-Identifier: Apache-2.0
import type { KubernetesObject } from '@kubernetes/client-node';
import type { PolicyKind } from '@weir/policy';

/** A kind of policy that Kubernetes has. */
export interface PolicyResource {
  readonly kind: Exclude<PolicyKind, 'RuleList'>;
  readonly apiVersion: string;
  readonly plural: string;
  /** Whether somebody has to register it first. */
  readonly isCustom: boolean;
}

/** All of them. */
export const policyResources: readonly PolicyResource[] = [
  { kind: 'NetworkPolicy', apiVersion: 'networking.k8s.io/v1', plural: 'networkpolicies', isCustom: false },
  { kind: 'CiliumNetworkPolicy', apiVersion: 'cilium.io/v2', plural: 'ciliumnetworkpolicies', isCustom: true },
  {
    ...{ kind: 'CiliumClusterwideNetworkPolicy', apiVersion: 'cilium.io/v2' },
    ...{ plural: 'ciliumclusterwidenetworkpolicies', isCustom: true },
  },
];

/** The policy's key, from the kind and the object's key. */
export const policyKeyOf = (kind: PolicyKind, objectKey: string): string =>
  objectKey.includes('/') ? `${kind}/${objectKey}` : `${kind}//${objectKey}`;

/** What makes the policy, as text: without status and what tools add, changes of which mean nothing. */
export function readPolicyObject(object: KubernetesObject, { kind, apiVersion }: PolicyResource): string {
  const { metadata, spec, specs } = object as KubernetesObject & { readonly spec?: unknown; readonly specs?: unknown };
  const { name, namespace, uid } = metadata ?? {};
  return JSON.stringify({ apiVersion, kind, metadata: { name, namespace, uid }, spec, specs });
}
