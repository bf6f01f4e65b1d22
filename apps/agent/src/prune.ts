// SPDX-License-Identifier: Apache-2.0
import type { Datapath } from '@weir/datapath-maps';
import { deleteLink, listLinks, type Netlink, tolerating } from '@weir/netlink';
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
  readonly netlink: Netlink;
}

const podDevice = /^weir[1-9]\d{0,4}$/;

/**
 * Takes away what an agent before left behind and nobody wants any more. Only called once everything that is wanted is
 * known: before, what merely has not been learnt yet would go with it.
 */
export async function prune(options: PruneOptions): Promise<void> {
  const { datapath, controller, table, slots, ipcache, netlink } = options;
  const endpoints = table.list();
  const ids = new Set(endpoints.map(({ record }) => record.id));
  const staleEndpoints = datapath.listEndpoints().filter(({ id }) => !ids.has(id));
  const usedSlots = new Set(endpoints.map(({ identity }) => slots.find(identity ?? 0)));
  const staleSlots = datapath.listPolicySlots().filter((slot) => !usedSlots.has(slot));
  const staleRanges = ipcache.staleOf(await datapath.listIpcache());
  await controller.commit({
    datapath: () => ({ endpointsRemoved: staleEndpoints, ipcacheRemoved: staleRanges, policiesRemoved: staleSlots }),
  });
  datapath.retainEndpoints(ids);
  const devices = new Set(endpoints.map(({ record }) => record.hostInterface));
  const links = await netlink.run(listLinks({ kind: 'veth' }));
  const orphans = links.filter(({ name }) => podDevice.test(name) && !devices.has(name));
  for (const { index } of orphans) {
    await netlink.run(tolerating(deleteLink({ index }), { code: 'NOT_FOUND', result: undefined }));
  }
}
