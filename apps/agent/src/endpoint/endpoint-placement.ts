// SPDX-License-Identifier: Apache-2.0
import type { DatapathChange } from '@weir/datapath-maps';
import type { LabelSet } from '@weir/model';
import type { PolicyUpdate } from '@weir/policy';
import { type DesiredIpcache, rangesOf } from '../ipcache/desired-ipcache.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';
import { addressesOf, datapathEndpoint, type Endpoint, moved } from './endpoint.ts';
import type { EndpointTable } from './endpoint-table.ts';

export interface EndpointPlacementOptions {
  readonly table: EndpointTable;
  readonly controller: PolicyController;
  readonly slots: PolicySlots;
  readonly ipcache: DesiredIpcache;
  /** Told when the addresses of this node's endpoints, or their identities, are others than before. */
  readonly onPlaced?: () => void;
  /** Every endpoint is in audit mode, whatever its own setting. Default: no. */
  readonly auditAll?: boolean;
}

/** An endpoint with the identity that it is to have. */
export interface Arrival {
  readonly endpoint: Endpoint;
  readonly labels: LabelSet;
  readonly identity: number;
}

/** Puts endpoints under their policies in the kernel, and takes them away. */
export interface EndpointPlacement {
  /** Resolves, with all of them ready, when the policies of their identities are in force for them. */
  enter(arrivals: readonly Arrival[], more?: PolicyUpdate): Promise<readonly Endpoint[]>;
  /** Resolves when nothing can reach the endpoint any more and it can reach nothing: its packets are dropped. */
  leave(endpoint: Endpoint): Promise<void>;
}

/** See {@link EndpointPlacement}. */
export function createEndpointPlacement(options: EndpointPlacementOptions): EndpointPlacement {
  const { table, controller, slots, ipcache, onPlaced, auditAll = false } = options;

  /*
   * Users of an identity are counted before the commit: of two endpoints that come to one at the same time, the first
   * brings its policy, and the second one's commit is made after the first one's.
   */
  const move = ({ endpoint: { record }, labels, identity }: Arrival, from: Endpoint['identity']): PolicyUpdate => {
    const isFirst = table.join(identity, record.id);
    const isLast = from !== undefined && from !== identity && table.leave(from, record.id);
    return {
      upsertIdentities: [{ id: identity, labels }],
      upsertSubjects: isFirst ? [{ id: identity, labels }] : [],
      deleteSubjects: isLast ? [from] : [],
    };
  };

  /** What undoes {@link move}, as far as policies go. */
  const moveBack = ({ endpoint, identity }: Arrival): PolicyUpdate => {
    const isLast = table.leave(identity, endpoint.record.id);
    const { identity: id, labels } = table.get(endpoint.record.id) ?? endpoint;
    const isFirst = id !== undefined && id !== identity && table.join(id, endpoint.record.id);
    return { deleteSubjects: isLast ? [identity] : [], upsertSubjects: isFirst ? [{ id, labels }] : [] };
  };

  const placesOf = (arrivals: readonly Arrival[]): DatapathChange => ({
    endpoints: arrivals.map(({ endpoint: { record }, identity }) =>
      datapathEndpoint(record, {
        identity,
        policySlot: slots.slotOf(identity),
        isAudited: auditAll || record.audit === true,
      }),
    ),
    ...ipcache.change({
      upsert: arrivals.flatMap(({ endpoint: { record }, identity }) =>
        rangesOf(addressesOf(record)).map((range) => ({ range, identity })),
      ),
    }),
  });

  return {
    async enter(arrivals, more = {}) {
      const before = arrivals.map(({ endpoint }) => endpoint);
      for (const { endpoint } of arrivals) table.put(moved(endpoint, 'regenerating'));
      const policy = joinUpdates([more, ...arrivals.map((arrival) => move(arrival, arrival.endpoint.identity))]);
      try {
        await controller.commit({ policy, datapath: () => placesOf(arrivals) });
      } catch (error) {
        before.forEach(table.put);
        await controller.commit({ policy: joinUpdates(arrivals.map(moveBack)) }).catch(() => undefined);
        throw error;
      }
      const ready = arrivals.map(({ endpoint, labels, identity }) =>
        table.put({ ...moved({ ...endpoint, state: 'regenerating' }, 'ready'), labels, identity }),
      );
      onPlaced?.();
      return ready;
    },
    async leave({ record, identity }) {
      const isLast = identity !== undefined && table.leave(identity, record.id);
      await controller.commit({
        policy: isLast ? { deleteSubjects: [identity] } : {},
        datapath: () => ({
          // Also of an endpoint that is being restored: the kernel has it from the agent before.
          endpointsRemoved: [datapathEndpoint(record, { identity: 0, policySlot: 0 })],
          ...ipcache.change({ remove: rangesOf(addressesOf(record)) }),
        }),
      });
      onPlaced?.();
    },
  };
}

/** One update that says all that several say. */
function joinUpdates(updates: readonly PolicyUpdate[]): PolicyUpdate {
  return {
    upsertPolicies: updates.flatMap((update) => update.upsertPolicies ?? []),
    deletePolicies: updates.flatMap((update) => update.deletePolicies ?? []),
    upsertIdentities: updates.flatMap((update) => update.upsertIdentities ?? []),
    deleteIdentities: updates.flatMap((update) => update.deleteIdentities ?? []),
    upsertSubjects: updates.flatMap((update) => update.upsertSubjects ?? []),
    deleteSubjects: updates.flatMap((update) => update.deleteSubjects ?? []),
  };
}
