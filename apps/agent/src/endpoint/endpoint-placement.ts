// SPDX-License-Identifier: Apache-2.0
import type { DatapathChange } from '@weir/datapath-maps';
import { type TraceDetail, traceDetail } from '@weir/datapath-layout';
import type { FlowAggregation, LabelSet } from '@weir/model';
import type { LabelledIdentity, PolicySubject, PolicyUpdate } from '@weir/policy';
import type { IdentityPorts } from '../identity/identity-ports.ts';
import { type DesiredIpcache, rangesOf } from '../ipcache/desired-ipcache.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';
import type { PolicySubjects } from '../policy/policy-subjects.ts';
import { addressesOf, datapathEndpoint, type Endpoint, moved } from './endpoint.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { EndpointTable } from './endpoint-table.ts';

export interface EndpointPlacementOptions {
  readonly table: EndpointTable;
  readonly controller: PolicyController;
  readonly slots: PolicySlots;
  readonly subjects: PolicySubjects;
  readonly ports: IdentityPorts;
  readonly ipcache: DesiredIpcache;
  /** Told when the addresses of this node's endpoints, or their identities, are others than before. */
  readonly onPlaced?: () => void;
  /** Every endpoint is in audit mode, whatever its own setting. Default: no. */
  readonly auditAll?: boolean;
  /** Of endpoints that have none of their own. Default: medium. */
  readonly aggregation?: FlowAggregation;
}

const detailOf: Readonly<Record<FlowAggregation, TraceDetail>> = {
  none: traceDetail.packets,
  low: traceDetail.flags,
  medium: traceDetail.default,
  maximum: traceDetail.verdicts,
};

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

/** Notes what an endpoint calls its ports, under the identity that it is to have; without one, nothing any more. */
export function notePorts(
  ports: IdentityPorts,
  { record, identity }: { readonly record: EndpointRecord; readonly identity: number | undefined },
): readonly LabelledIdentity[] {
  const { id, namedPorts } = record;
  const isNamed = identity !== undefined && namedPorts !== undefined;
  return ports.known(ports.set(`endpoint ${id}`, new Map(isNamed ? [[identity, namedPorts]] : [])));
}

/** What endpoints that come and go mean for policies. */
function createMoves({ table, subjects, ports }: Pick<EndpointPlacementOptions, 'table' | 'subjects' | 'ports'>) {
  const subjectOf = ({ endpoint: { record }, identity }: Pick<Arrival, 'endpoint' | 'identity'>): number =>
    subjects.numberOf(identity, record.namedPorts);

  /** A policy that an endpoint is the first to have. */
  const subjectWith = (id: number, { record, labels }: Pick<Endpoint, 'record' | 'labels'>): PolicySubject => ({
    ...{ id, labels },
    ...(record.namedPorts && { namedPorts: record.namedPorts }),
  });

  /*
   * Users of a policy are counted before the commit: of two endpoints that come to one at the same time, the first
   * brings it, and the second one's commit is made after the first one's.
   */
  const move = (arrival: Arrival): PolicyUpdate => {
    const { endpoint, labels, identity } = arrival;
    const { record, subject: from } = endpoint;
    const subject = subjectOf(arrival);
    const isFirst = table.join(subject, record.id);
    const isLast = from !== undefined && from !== subject && table.leave(from, record.id);
    return {
      upsertIdentities: [...notePorts(ports, { record, identity }), ports.describe({ id: identity, labels })],
      upsertSubjects: isFirst ? [subjectWith(subject, { record, labels })] : [],
      deleteSubjects: isLast ? [from] : [],
    };
  };

  /** What undoes {@link move}, as far as policies go. */
  const moveBack = (arrival: Arrival): PolicyUpdate => {
    const { record } = arrival.endpoint;
    const subject = subjectOf(arrival);
    const isLast = table.leave(subject, record.id);
    const before = table.get(record.id) ?? arrival.endpoint;
    const id = before.subject;
    const isFirst = id !== undefined && id !== subject && table.join(id, record.id);
    return {
      upsertIdentities: notePorts(ports, before),
      deleteSubjects: isLast ? [subject] : [],
      upsertSubjects: isFirst ? [subjectWith(id, before)] : [],
    };
  };

  return { subjectOf, move, moveBack };
}

/** See {@link EndpointPlacement}. */
export function createEndpointPlacement(options: EndpointPlacementOptions): EndpointPlacement {
  const {
    table,
    controller,
    slots,
    subjects,
    ports,
    ipcache,
    onPlaced,
    auditAll = false,
    aggregation = 'medium',
  } = options;
  const { subjectOf, move, moveBack } = createMoves(options);

  const placesOf = (arrivals: readonly Arrival[]): DatapathChange => ({
    endpoints: arrivals.map((arrival) => {
      const { record } = arrival.endpoint;
      return datapathEndpoint(record, {
        identity: arrival.identity,
        policySlot: slots.slotOf(subjectOf(arrival)),
        isAudited: auditAll || record.audit === true,
        traceDetail: detailOf[record.aggregation ?? aggregation],
      });
    }),
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
      const policy = joinUpdates([more, ...arrivals.map(move)]);
      try {
        await controller.commit({ policy, datapath: () => placesOf(arrivals) });
      } catch (error) {
        before.forEach(table.put);
        await controller.commit({ policy: joinUpdates(arrivals.map(moveBack)) }).catch(() => undefined);
        throw error;
      }
      const ready = arrivals.map((arrival) => {
        const { endpoint, labels, identity } = arrival;
        const entered = moved({ ...endpoint, state: 'regenerating' }, 'ready');
        return table.put({ ...entered, labels, identity, subject: subjectOf(arrival) });
      });
      onPlaced?.();
      return ready;
    },
    async leave({ record, identity, subject }) {
      // One that has not got so far has joined as it would have been.
      const joined = subject ?? (identity === undefined ? undefined : subjects.numberOf(identity, record.namedPorts));
      const isLast = joined !== undefined && table.leave(joined, record.id);
      await controller.commit({
        policy: {
          upsertIdentities: notePorts(ports, { record, identity: undefined }),
          deleteSubjects: isLast ? [joined] : [],
        },
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
