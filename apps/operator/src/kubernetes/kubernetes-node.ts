// SPDX-License-Identifier: Apache-2.0
import type { CiliumNode, NodeAddressType } from '@weir/custom-resources';
import type { WatchedResource } from '@weir/kubernetes';

/** What concerns us of a node of Kubernetes. */
export interface KubernetesNode {
  readonly uid: string;
  readonly addresses: readonly { readonly type: NodeAddressType; readonly ip: string }[];
  /** The ranges that Kubernetes gave it. */
  readonly podCidrs: readonly string[];
  readonly taints: readonly Taint[];
  readonly labels: Readonly<Record<string, string>>;
  /** What its condition `NetworkUnavailable` says, and why; undefined where it has none. */
  readonly networkUnavailable: { readonly status: string; readonly reason: string } | undefined;
}

/** A taint, which keeps pods away that do not tolerate it. */
export interface Taint {
  readonly key: string;
  readonly [field: string]: unknown;
}

interface Node {
  readonly metadata: { readonly uid: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly podCIDR?: string;
    readonly podCIDRs?: readonly string[];
    readonly taints?: readonly Taint[];
  };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  };
}

const isAddressType = (type: string): type is NodeAddressType => type === 'InternalIP' || type === 'ExternalIP';

function readNode(object: unknown): KubernetesNode {
  const { metadata, spec = {}, status = {} } = object as Node;
  const condition = status.conditions?.find(({ type }) => type === 'NetworkUnavailable');
  return {
    uid: metadata.uid,
    addresses: (status.addresses ?? []).flatMap(({ type, address: ip }) => (isAddressType(type) ? [{ type, ip }] : [])),
    podCidrs: spec.podCIDRs ?? (spec.podCIDR === undefined ? [] : [spec.podCIDR]),
    taints: spec.taints ?? [],
    labels: metadata.labels ?? {},
    networkUnavailable: condition && { status: condition.status, reason: condition.reason ?? '' },
  };
}

/** All nodes. */
export const nodesResource: WatchedResource<KubernetesNode> = {
  ...{ name: 'nodes', path: '/api/v1/nodes', read: readNode },
};

/** What a CiliumNode says that the operator has written. */
export interface WrittenNode {
  readonly addresses: NonNullable<CiliumNode['spec']['addresses']>;
  readonly podCidrs: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly error: string;
}

/** All nodes as `kubectl get ciliumnodes` shows them. */
export const ciliumNodesResource: WatchedResource<WrittenNode> = {
  ...{ name: 'ciliumnodes', path: '/apis/cilium.io/v2/ciliumnodes' },
  read(object) {
    const { metadata, spec, status } = object as CiliumNode;
    return {
      addresses: spec.addresses ?? [],
      podCidrs: spec.ipam?.podCIDRs ?? [],
      labels: metadata.labels ?? {},
      error: status?.ipam?.['operator-status']?.error ?? '',
    };
  },
};
