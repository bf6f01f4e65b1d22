// SPDX-License-Identifier: Apache-2.0
import type { Datapath } from '@weir/datapath-maps';
import { hostSubject } from './host/host-policy.ts';
import { hostInterfaceOf, type PodNetwork } from './cni/pod-network.ts';
import type { EndpointTable } from './endpoint/endpoint-table.ts';
import type { DesiredIpcache } from './ipcache/desired-ipcache.ts';
import type { PolicyController } from './policy/policy-controller.ts';
import type { PolicySlots } from './policy/policy-slots.ts';

export interface PruneOptions {
  readonly datapath: Datapath;
  readonly controller: PolicyController;
  readonly table: EndpointTable;
  readonly slots: PolicySlots;
  readonly ipcache: DesiredIpcache;
  readonly podNetwork: PodNetwork;
}

/** Endpoints that are there, and those whose files cannot be read. */
const idsOf = (table: EndpointTable): Set<number> =>
  new Set([...table.list().map(({ record }) => record.id), ...table.reserved()]);

/**
 * Takes away what an agent before left behind and nobody wants any more. Only called once everything that is wanted is
 * known: before, what merely has not been learnt yet would go with it.
 */
export async function prune(options: PruneOptions): Promise<void> {
  const { datapath, controller, table, slots, ipcache, podNetwork } = options;
  const found = await datapath.listIpcache();
  // Looked at in the turn of the commit: an endpoint that has been made meanwhile may have got what was left behind.
  await controller.commit({
    datapath: () => {
      const keptIds = idsOf(table);
      const inKernel = datapath.listEndpoints();
      const unreadable = inKernel.filter(({ id }) => table.reserved().has(id));
      const unreadableSlots = new Set(unreadable.map(({ policySlot }) => policySlot));
      const subjects = new Set([hostSubject, ...table.subjectsInUse()]);
      const usedSlots = new Set([...slots.retain(subjects, unreadableSlots), ...unreadableSlots]);
      const unreadableAddresses = unreadable.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
      const isKept = (address: Uint8Array): boolean =>
        unreadableAddresses.some((each) => Buffer.compare(each, address) === 0);
      return {
        endpointsRemoved: inKernel.filter(({ id }) => !keptIds.has(id)),
        ipcacheRemoved: ipcache.staleOf(found).filter(({ address }) => !isKept(address)),
        policiesRemoved: datapath.listPolicySlots().filter((slot) => !usedSlots.has(slot)),
      };
    },
  });
  datapath.retainEndpoints(idsOf(table));
  const wanted = new Set([...idsOf(table)].map(hostInterfaceOf));
  const present = await podNetwork.hostInterfaces();
  for (const name of present.keys()) if (!wanted.has(name)) await podNetwork.remove(name);
}
