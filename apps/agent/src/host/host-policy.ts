// SPDX-License-Identifier: Apache-2.0
import type { Datapath } from '@weir/datapath-maps';
import { createLabelSet, parseLabelSet, reservedIdentity } from '@weir/model';
import type { PolicySubject } from '@weir/policy';
import type { Commit } from '../policy/policy-controller.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';

/** Every node has this label, as those of Kubernetes do. */
const hostnameLabel = 'kubernetes.io/hostname';

/** The number of the host's policy. */
export const hostSubject = reservedIdentity.host;

/** This node as policies for nodes look at it. `labels` are `key=value`; those of Kubernetes, without a source. */
export function describeHost(node: { readonly nodeName: string; readonly labels: readonly string[] }): PolicySubject {
  const own = parseLabelSet([`${hostnameLabel}=${node.nodeName}`, ...node.labels].map((label) => `k8s:${label}`));
  return { id: hostSubject, labels: createLabelSet([{ source: 'reserved', key: 'host', value: '' }, ...own.labels]) };
}

/** A commit that also puts the host under the policies that select it. */
export function includeHost(
  { policy = {}, datapath }: Commit,
  options: { readonly host: PolicySubject; readonly slots: Pick<PolicySlots, 'slotOf'>; readonly isAudited: boolean },
): Commit {
  const { host, slots, isAudited } = options;
  return {
    policy: { ...policy, upsertSubjects: [...(policy.upsertSubjects ?? []), host] },
    datapath: () => ({ ...datapath?.(), host: { policySlot: slots.slotOf(host.id), isAudited } }),
  };
}

/** Which identity has which slot in the kernel: what an agent before has given to pods and to the host. */
export function slotsInKernel(
  datapath: Pick<Datapath, 'listEndpoints' | 'hostPolicySlot'>,
): ReadonlyMap<number, number> {
  const slots = new Map(datapath.listEndpoints().map(({ identity, policySlot }) => [identity, policySlot]));
  const hostSlot = datapath.hostPolicySlot();
  return hostSlot === undefined ? slots : slots.set(hostSubject, hostSlot);
}
