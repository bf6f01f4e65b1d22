// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Datapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { formatIpAddress, type IdentityLabelFilter, type IpAddress, isProtectedLabel } from '@weir/model';
import { type LabelSet, podLabels } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { PodNetwork } from '../cni/pod-network.ts';
import type { IdentitySource } from '../identity/identity-source.ts';
import type { AddressPool } from '../ipam/address-pool.ts';
import { addressesOf, type Endpoint, moved } from './endpoint.ts';
import type { EndpointPlacement } from './endpoint-placement.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { EndpointStore } from './endpoint-store.ts';
import type { AttachmentName, EndpointTable } from './endpoint-table.ts';
import { createKeyedQueue } from './keyed-queue.ts';

/** What an endpoint is made of. */
export interface EndpointSpec extends AttachmentName {
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A change of the user's labels. */
export interface LabelPatch {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface EndpointManagerOptions {
  readonly table: EndpointTable;
  readonly placement: EndpointPlacement;
  readonly datapath: Pick<Datapath, 'attachEndpoint' | 'detachEndpoint'>;
  readonly identities: IdentitySource;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
  readonly podNetwork: PodNetwork;
  readonly store: EndpointStore;
  readonly labelFilter: IdentityLabelFilter;
  readonly mtu: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes, changes and removes the endpoints of the node. Calls for one endpoint are carried out one after the other. */
export interface EndpointManager {
  /**
   * Makes an endpoint, or returns the one that the container's interface has already. Resolves when its policy is in
   * force; until then it cannot send a packet. Rejects with everything undone.
   */
  add(spec: EndpointSpec): Promise<Endpoint>;
  /** Removes the endpoint of a container's interface; one that does not exist is not an error. */
  remove(name: AttachmentName): Promise<void>;
  /** Gives a running endpoint other labels. Resolves when what they allow and forbid is in force. */
  patchLabels(id: number, patch: LabelPatch): Promise<Endpoint>;
  /** Moves all endpoints of an identity to another one that stands for the same labels. */
  moveIdentity(moved: { readonly labels: LabelSet; readonly from: number; readonly to: number }): Promise<void>;
}

// Less than what container runtimes wait for a plugin.
const identityTimeoutMs = 45_000;

type Undo = (() => unknown)[];

/** An endpoint that is being made. */
interface Draft {
  readonly record: EndpointRecord;
  readonly labels: LabelSet;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
}

/** The labels that make the identity of a pod. */
export function identityLabels(
  { namespace, labels }: Pick<EndpointSpec, 'namespace' | 'labels'>,
  filter: IdentityLabelFilter,
): LabelSet {
  return filter.select(podLabels({ namespace, labels }).labels);
}

/** See {@link EndpointManager}. */
export function createEndpointManager(options: EndpointManagerOptions): EndpointManager {
  const { table, labelFilter } = options;
  const inTurn = createKeyedQueue();
  const keyOf = ({ containerId, ifName }: AttachmentName): string => `${containerId}/${ifName}`;
  return {
    add: (spec) =>
      inTurn(keyOf(spec), async () => {
        const known = table.find(spec);
        return known?.state === 'ready' ? known : createEndpoint(options, spec);
      }),
    remove: (name) =>
      inTurn(keyOf(name), async () => {
        const endpoint = table.find(name);
        if (endpoint !== undefined) await destroyEndpoint(options, endpoint);
      }),
    async patchLabels(id, patch) {
      const isForbidden = (key: string): boolean => isProtectedLabel({ source: 'k8s', key });
      const forbidden = [...Object.keys(patch.set), ...patch.remove].find(isForbidden);
      if (forbidden !== undefined) {
        throw new WeirError('INVALID_ARGUMENT', `The label "${forbidden}" is not the user's to change`);
      }
      return inTurn(keyOf(table.require(id).record), async () => {
        const endpoint = table.require(id);
        const kept = Object.entries(endpoint.record.labels).filter(([key]) => !patch.remove.includes(key));
        const record = { ...endpoint.record, labels: { ...Object.fromEntries(kept), ...patch.set } };
        return relabelEndpoint(options, { ...endpoint, record, labels: identityLabels(record, labelFilter) });
      });
    },
    async moveIdentity({ labels, from, to }) {
      const moving = table.list().filter(({ identity, state }) => identity === from && state === 'ready');
      const arrivals = moving.map((endpoint) => {
        return { endpoint: moved(endpoint, 'waiting-to-regenerate'), labels, identity: to };
      });
      await options.placement.enter(arrivals).catch((error: unknown) => {
        options.logger.error({ identity: to, error }, 'endpoints could not be moved to another identity');
      });
    },
  };
}

const takeIdentity = ({ identities }: EndpointManagerOptions, labels: LabelSet): Promise<number> =>
  identities.take(labels, AbortSignal.timeout(identityTimeoutMs));

async function undoAll(steps: Undo, logger: Logger): Promise<void> {
  for (const step of steps.toReversed()) {
    try {
      await step();
    } catch (error) {
      logger.error({ error }, 'endpoint could not be undone completely');
    }
  }
}

async function createEndpoint(options: EndpointManagerOptions, spec: EndpointSpec): Promise<Endpoint> {
  const undo: Undo = [];
  try {
    return await connect(options, { draft: draftOf(options, { spec, undo }), undo });
  } catch (error) {
    await undoAll(undo, options.logger);
    throw error;
  }
}

function draftOf(options: EndpointManagerOptions, making: { readonly spec: EndpointSpec; readonly undo: Undo }): Draft {
  const { table, pools, labelFilter, mtu, clock } = options;
  const { spec, undo } = making;
  const labels = identityLabels(spec, labelFilter);
  const allocate = (pool: AddressPool): IpAddress => {
    const address = pool.allocate();
    undo.push(() => pool.release(address));
    return address;
  };
  const ipv4 = allocate(pools.ipv4);
  const ipv6 = allocate(pools.ipv6);
  const id = table.freeId();
  const { containerId, ifName, netns, namespace, pod } = spec;
  const record: EndpointRecord = {
    ...{ id, containerId, ifName, netns, namespace, pod, labels: spec.labels, mtu },
    ipv4: formatIpAddress(ipv4),
    ipv6: formatIpAddress(ipv6),
    mac: '',
    hostInterface: `weir${id}`,
    hostIfindex: 0,
    createdMs: clock.nowMs(),
  };
  const reason = 'the identity of its labels is not known yet';
  table.put({ record, state: 'waiting-for-identity', reason, identity: undefined, labels });
  undo.push(() => table.delete(id));
  return { record, labels, ipv4, ipv6 };
}

/** Devices and identity come side by side; the way is opened only when the policy is in force. */
async function connect(
  options: EndpointManagerOptions,
  making: { readonly draft: Draft; readonly undo: Undo },
): Promise<Endpoint> {
  const { table, placement, datapath, identities, pools, podNetwork, store, logger } = options;
  const { draft, undo } = making;
  const { labels } = draft;
  // Taken off a device that is gone, a program costs the kernel no grace period.
  undo.push(() => datapath.detachEndpoint(draft.record));
  undo.push(() => podNetwork.remove(draft.record.hostInterface));
  const addresses = [
    { address: draft.ipv4, gateway: pools.ipv4.router },
    { address: draft.ipv6, gateway: pools.ipv6.router },
  ];
  const [link, identity] = await allOrFirstError([
    podNetwork.create({ ...draft.record, addresses }),
    takeIdentity(options, labels).then((taken) => {
      undo.push(() => identities.release(taken));
      return taken;
    }),
  ]);
  const record = { ...draft.record, ...link };
  const waiting: Endpoint = { ...table.require(record.id), record, state: 'waiting-to-regenerate', reason: undefined };
  undo.push(() => store.remove(record.id));
  await store.save(record);
  undo.push(() => placement.leave({ ...waiting, identity }));
  datapath.attachEndpoint({ id: record.id, ifindex: record.hostIfindex });
  await placement.enter([{ endpoint: waiting, labels, identity }]);
  await podNetwork.open(record);
  logger.info({ endpoint: record.id, pod: `${record.namespace}/${record.pod}`, identity }, 'endpoint is ready');
  return table.require(record.id);
}

async function destroyEndpoint(options: EndpointManagerOptions, endpoint: Endpoint): Promise<void> {
  const { table, placement, datapath, identities, pools, podNetwork, store, logger } = options;
  const { record, identity } = endpoint;
  table.put(endpoint.state === 'disconnecting' ? endpoint : moved(endpoint, 'disconnecting'));
  await placement.leave(endpoint);
  await podNetwork.remove(record.hostInterface);
  datapath.detachEndpoint(record);
  await store.remove(record.id);
  const [ipv4, ipv6] = addressesOf(record);
  pools.ipv4.release(ipv4);
  pools.ipv6.release(ipv6);
  if (identity !== undefined) identities.release(identity);
  table.delete(record.id);
  logger.info({ endpoint: record.id, pod: `${record.namespace}/${record.pod}` }, 'endpoint is gone');
}

/** `wanted` has the new labels and still the old identity. */
async function relabelEndpoint(options: EndpointManagerOptions, wanted: Endpoint): Promise<Endpoint> {
  const { table, placement, identities, store } = options;
  const before = table.require(wanted.record.id);
  table.put(moved(before, 'waiting-for-identity', 'its labels have changed, their identity is not known yet'));
  try {
    const identity = await takeIdentity(options, wanted.labels);
    await store.save(wanted.record);
    const endpoint: Endpoint = { ...wanted, state: 'waiting-to-regenerate', reason: undefined };
    await placement.enter([{ endpoint, labels: wanted.labels, identity }]);
    if (before.identity !== undefined) identities.release(before.identity);
    return table.require(wanted.record.id);
  } catch (error) {
    table.put({ ...before, reason: `its labels could not be changed: ${WeirError.from(error).message}` });
    throw error;
  }
}

/** As `Promise.all`, but waits for all of them also when one fails: what is under way must be there to be undone. */
async function allOrFirstError<A, B>(tasks: readonly [Promise<A>, Promise<B>]): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled(tasks);
  if (a.status === 'rejected') throw a.reason;
  if (b.status === 'rejected') throw b.reason;
  return [a.value, b.value];
}
