// SPDX-License-Identifier: Apache-2.0
import type { Datapath } from '@weir/datapath-maps';
import { createLabelSet, parseLabelSet, reservedIdentity } from '@weir/model';
import type { PolicySubject } from '@weir/policy';
import type { Commit } from '../policy/policy-controller.ts';
import { createPolicySlots, type PolicySlots } from '../policy/policy-slots.ts';

/** Every node has this label, as those of Kubernetes do. */
const hostnameLabel = 'kubernetes.io/hostname';

/** The number of the host's policy. */
export const hostSubject = reservedIdentity.host;

/** This node as policies for nodes look at it. `labels` are `key=value`; those of Kubernetes, without a source. */
export function describeHost(node: { readonly nodeName: string; readonly labels: readonly string[] }): PolicySubject {
  const own = parseLabelSet([`${hostnameLabel}=${node.nodeName}`, ...node.labels].map((label) => `k8s:${label}`));
  return { id: hostSubject, labels: createLabelSet([{ source: 'reserved', key: 'host', value: '' }, ...own.labels]) };
}

/** What policies select a node by, as other nodes are told. */
export const labelsOfHost = ({ labels }: PolicySubject): Readonly<Record<string, string>> =>
  Object.fromEntries(labels.labels.flatMap(({ source, key, value }) => (source === 'k8s' ? [[key, value]] : [])));

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

/** Slots for the policies of a node, where the kernel has those of an agent before: the host's stays where it is. */
export function createNodeSlots(
  slotsMax: number,
  datapath: Pick<Datapath, 'listEndpoints' | 'hostPolicySlot'>,
): PolicySlots {
  const hostSlot = datapath.hostPolicySlot();
  const ofPods = datapath.listEndpoints().map(({ policySlot }) => policySlot);
  const slots = createPolicySlots(slotsMax, hostSlot === undefined ? ofPods : [...ofPods, hostSlot]);
  if (hostSlot !== undefined) slots.adopt(hostSubject, hostSlot);
  return slots;
}
