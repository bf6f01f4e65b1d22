// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { WeirError } from '@weir/errors';
import { hasStatus, type KubernetesApi } from '@weir/kubernetes';
import type { KubernetesNode, WrittenNode } from './kubernetes-node.ts';
import { applyObject } from './apply-object.ts';

/** The ranges of a node's pods. Rejects with why there are none. */
export type RangesOf = (name: string, node: KubernetesNode) => Promise<readonly string[]>;

export interface CiliumNodesOptions {
  readonly api: KubernetesApi;
  readonly nodes: ReadonlyMap<string, KubernetesNode>;
  /** What is written already. */
  readonly written: ReadonlyMap<string, WrittenNode>;
  readonly rangesOf: RangesOf;
}

const collection = '/apis/cilium.io/v2/ciliumnodes';

/** The ranges that Kubernetes gave the node, which its kube-controller-manager does with `--allocate-node-cidrs`. */
export const rangesOfKubernetes: RangesOf = async (name, { podCidrs }) => {
  if (podCidrs.length > 0) return podCidrs;
  throw new WeirError('FAILED_PRECONDITION', `Kubernetes has given node "${name}" no range of addresses for its pods`);
};

/**
 * Keeps a CiliumNode for every node: its addresses, and the ranges of its pods or why it has none. It belongs to its node, and goes
 * with it.
 */
export function createCiliumNodes({ api, nodes, written, rangesOf }: CiliumNodesOptions) {
  const remove = async (name: string): Promise<boolean> => {
    if (!written.has(name)) return false;
    await api.request({ method: 'DELETE', path: `${collection}/${name}` }).catch((error: unknown) => {
      if (!hasStatus(error, 404)) throw error;
    });
    return true;
  };
  return {
    /** True when something was written. */
    async reconcile(name: string): Promise<boolean> {
      const node = nodes.get(name);
      if (node === undefined) return remove(name);
      const { ranges, failure } = await rangesOf(name, node).then(
        (found) => ({ ranges: found, failure: undefined }),
        (error: unknown) => ({ ranges: undefined, failure: WeirError.from(error) }),
      );
      const before = written.get(name);
      // A node keeps the ranges that it has: pods have addresses out of them.
      const podCidrs = ranges ?? before?.podCidrs ?? [];
      const { addresses, labels } = node;
      const error = failure?.message ?? '';
      const wanted: WrittenNode = { addresses, podCidrs, labels, error };
      const isWritten = isDeepStrictEqual(before, wanted);
      if (!isWritten) await write(api, { name, uid: node.uid, wanted, before });
      // Written down, and tried again.
      if (failure !== undefined) throw failure;
      return !isWritten;
    },
  };
}

interface Write {
  readonly name: string;
  readonly uid: string;
  readonly wanted: WrittenNode;
  readonly before: WrittenNode | undefined;
}

async function write(api: KubernetesApi, { name, uid, wanted, before }: Write): Promise<void> {
  const { addresses, podCidrs, labels, error } = wanted;
  const about = { apiVersion: 'cilium.io/v2', kind: 'CiliumNode' };
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid }];
  await applyObject(api, `${collection}/${name}`, {
    part: 'object',
    object: {
      ...about,
      metadata: { name, labels, ownerReferences },
      spec: { addresses, ipam: { podCIDRs: podCidrs } },
    },
  });
  if ((before?.error ?? '') === error) return;
  // A patch, which can take a field away: servers of 1.20 keep one that is not applied any more.
  const status = { ipam: { 'operator-status': { error: error === '' ? null : error } } };
  await api.request({
    ...{ method: 'PATCH', path: `${collection}/${name}/status`, body: { status } },
    contentType: 'application/merge-patch+json',
  });
}
