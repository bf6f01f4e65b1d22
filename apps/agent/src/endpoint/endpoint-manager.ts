// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { type Clock, createBackoff } from '@weir/clock';
import type { Datapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { formatIpAddress, type IdentityLabelFilter, type IpAddress, isProtectedLabel } from '@weir/model';
import { canonicalNamedPorts, formatLabelSet, type LabelSet, type NamedPort, podLabels } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import { hostInterfaceOf, type PodNetwork } from '../cni/pod-network.ts';
import type { IdentitySource } from '../identity/identity-source.ts';
import type { AddressPool } from '../ipam/address-pool.ts';
import { addressesOf, type Endpoint, moved } from './endpoint.ts';
import type { EndpointPlacement } from './endpoint-placement.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { EndpointStore } from './endpoint-store.ts';
import type { AttachmentName, EndpointTable } from './endpoint-table.ts';
import { createKeyedQueue, type KeyedQueue } from './keyed-queue.ts';
import type { NamespaceLabelTable } from './namespace-labels.ts';

/** What an endpoint is made of. */
export interface EndpointSpec extends AttachmentName {
  /** Name of the network configuration that it was made by. */
  readonly network: string;
  readonly netns: string;
  readonly namespace: string;
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly namedPorts?: readonly NamedPort[];
}

/** What Kubernetes says an endpoint is, as a whole. */
export type EndpointDescription = Required<Pick<EndpointSpec, 'labels' | 'serviceAccount' | 'namedPorts'>>;

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
  readonly namespaces: Pick<NamespaceLabelTable, 'labelsOf'>;
  readonly mtu: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Makes, changes and removes the endpoints of the node. Calls for one endpoint are carried out one after the other. */
export interface EndpointManager {
  /**
   * Makes an endpoint, or returns the one that the container's interface has already. Resolves when its policy is in
   * force; until then it cannot send a packet. Rejects with everything undone; with UNAVAILABLE while the endpoint is being
   * restored.
   */
  add(spec: EndpointSpec): Promise<Endpoint>;
  /**
   * Removes the endpoint of a container's interface; one that does not exist is not an error. A call for it that waits for
   * an identity is given up. What could not be removed is tried again by the next call.
   */
  remove(name: AttachmentName): Promise<void>;
  /** Gives an endpoint other labels. Resolves when what they allow and forbid is in force; rejects with the old in force. */
  patchLabels(id: number, patch: LabelPatch): Promise<Endpoint>;
  /** Makes an endpoint what it is described as; one that is so already is left alone. Resolves and rejects as `patchLabels`. */
  describe(id: number, description: EndpointDescription): Promise<Endpoint>;
  /** Gives the endpoints of a namespace what its labels are now. Resolves when that is in force; the first failure rejects. */
  renewLabels(namespace: string): Promise<void>;
  /** Changes how an endpoint is treated. Resolves when it is. */
  configure(id: number, config: EndpointConfig): Promise<Endpoint>;
  /** Moves all endpoints of an identity to another one that stands for the same labels, and goes on until it has. */
  moveIdentity(moved: MovedIdentity): Promise<void>;
  /**
   * Brings an endpoint that was found on disk under its policy as soon as its identity is known. Goes on until it has, or
   * the endpoint is removed; what the kernel enforces stays in force meanwhile.
   */
  resume(id: number): Promise<void>;
  /** Gives up whatever waits for an identity; calls that are under way end soon. */
  close(): void;
}

/** How an endpoint is treated beside its policy; what is absent stays as it is. */
export type EndpointConfig = Partial<Pick<EndpointRecord, 'audit' | 'aggregation'>>;

interface MovedIdentity {
  readonly labels: LabelSet;
  readonly from: number;
  readonly to: number;
}

// Less than what container runtimes wait for a plugin.
const identityTimeoutMs = 45_000;
const retryDelayMinMs = 1_000;
const retryDelayMaxMs = 30_000;

type Undo = (() => unknown)[];

/** An endpoint that is being made. */
interface Draft {
  readonly record: EndpointRecord;
  readonly labels: LabelSet;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
}

/** The labels that make the identity of a pod: its own, and those of its namespace. */
export function identityLabels(
  { namespace, labels, serviceAccount }: Pick<EndpointSpec, 'namespace' | 'labels' | 'serviceAccount'>,
  { labelFilter, namespaces }: Pick<EndpointManagerOptions, 'labelFilter' | 'namespaces'>,
): LabelSet {
  const namespaceLabels = namespaces.labelsOf(namespace);
  const account = serviceAccount !== undefined && { serviceAccount };
  return labelFilter.select(podLabels({ namespace, labels, namespaceLabels, ...account }).labels);
}

const keyOf = ({ containerId, ifName }: AttachmentName): string => `${containerId}/${ifName}`;

/** See {@link EndpointManager}. */
export function createEndpointManager(options: EndpointManagerOptions): EndpointManager {
  const { table } = options;
  const queue = createKeyedQueue();
  // Endpoints that are being restored wait beside the queue: they must not keep calls for them waiting.
  const waits = createKeyedQueue();
  return {
    add: (spec) =>
      queue.run(keyOf(spec), async (signal) => {
        const known = table.find(spec);
        if (known?.state === 'disconnecting') await destroyEndpoint(options, known);
        else if (known !== undefined) return alreadyThere(known, spec);
        return createEndpoint(options, { spec, signal });
      }),
    remove(name) {
      const removed = new WeirError('CANCELLED', 'The endpoint is being removed');
      queue.interrupt(keyOf(name), removed);
      return queue.run(keyOf(name), async () => {
        const endpoint = table.find(name);
        if (endpoint !== undefined) await destroyEndpoint(options, endpoint);
        waits.interrupt(keyOf(name), removed);
      });
    },
    async patchLabels(id, patch) {
      const isForbidden = (key: string): boolean => isProtectedLabel({ source: 'k8s', key });
      const forbidden = [...Object.keys(patch.set), ...patch.remove].find(isForbidden);
      if (forbidden !== undefined) {
        throw new WeirError('INVALID_ARGUMENT', `The label "${forbidden}" is not the user's to change`);
      }
      return queue.run(keyOf(table.require(id).record), async (signal) => {
        const endpoint = table.require(id);
        const kept = Object.entries(endpoint.record.labels).filter(([key]) => !patch.remove.includes(key));
        const record = { ...endpoint.record, labels: { ...Object.fromEntries(kept), ...patch.set } };
        const arrival = { endpoint: { ...endpoint, record }, labels: identityLabels(record, options) };
        return relabelEndpoint(options, { ...arrival, signal });
      });
    },
    describe: (id, description) =>
      queue.run(keyOf(table.require(id).record), (signal) => describeEndpoint(options, { id, description, signal })),
    async renewLabels(namespace) {
      // Those that are being made are there already, and take their turn first.
      const concerned = table.list().filter(({ record }) => record.namespace === namespace);
      const renewed = concerned.map(({ record }) =>
        queue.run(keyOf(record), async (signal) => {
          const endpoint = table.get(record.id);
          if (endpoint === undefined || ['disconnecting', 'invalid'].includes(endpoint.state)) return;
          const labels = identityLabels(endpoint.record, options);
          if (labels.key !== endpoint.labels.key) await relabelEndpoint(options, { endpoint, labels, signal });
        }),
      );
      const failed = (await Promise.allSettled(renewed)).find(({ status }) => status === 'rejected');
      if (failed?.status === 'rejected') throw failed.reason;
    },
    configure: (id, config) =>
      queue.run(keyOf(table.require(id).record), async (signal) => {
        const endpoint = table.require(id);
        const changed = { ...endpoint, record: { ...endpoint.record, ...config } };
        return relabelEndpoint(options, { endpoint: changed, labels: endpoint.labels, signal });
      }),
    async moveIdentity(movedIdentity) {
      // Those that are being made may have been told the old number already: they take their turn first.
      const moving = table.list().filter(({ labels }) => labels.key === movedIdentity.labels.key);
      await Promise.all(moving.map(({ record }) => moveEndpoint(options, { queue, record, movedIdentity })));
    },
    resume: (id) => resumeEndpoint(options, { id, queue, waits }),
    close() {
      const stopping = new WeirError('UNAVAILABLE', 'The agent is stopping');
      queue.close(stopping);
      waits.close(stopping);
    },
  };
}

async function describeEndpoint(
  options: EndpointManagerOptions,
  wanted: { readonly id: number; readonly description: EndpointDescription; readonly signal: AbortSignal },
): Promise<Endpoint> {
  const endpoint = options.table.require(wanted.id);
  const record = described(endpoint.record, wanted.description);
  if (isDeepStrictEqual(record, endpoint.record)) return endpoint;
  const arrival = { endpoint: { ...endpoint, record }, labels: identityLabels(record, options) };
  return relabelEndpoint(options, { ...arrival, signal: wanted.signal });
}

function described(
  { namedPorts: _, ...record }: EndpointRecord,
  { labels, serviceAccount, namedPorts }: EndpointDescription,
): EndpointRecord {
  const ports = canonicalNamedPorts(namedPorts);
  return { ...record, labels, serviceAccount, ...(ports.length > 0 && { namedPorts: ports }) };
}

function alreadyThere(known: Endpoint, { netns }: EndpointSpec): Endpoint {
  const { record, state, reason } = known;
  const what = `The interface "${record.ifName}" of container "${record.containerId}"`;
  if (state !== 'ready') {
    throw new WeirError('UNAVAILABLE', `${what} has endpoint ${record.id}, which is ${state}: ${reason ?? ''}`);
  }
  if (record.netns === netns) return known;
  throw new WeirError(
    'ALREADY_EXISTS',
    `${what} has endpoint ${record.id} in the network namespace "${record.netns}", not in "${netns}"`,
  );
}

/** Waits for the number of a label set, within limits. */
async function takeIdentity(options: EndpointManagerOptions, labels: LabelSet, signal: AbortSignal): Promise<number> {
  const { identities, clock } = options;
  const timeout = new AbortController();
  const cancelTimer = clock.schedule(identityTimeoutMs, () => {
    const message = `No identity for the labels ${formatLabelSet(labels).join(', ')} within ${identityTimeoutMs} ms`;
    timeout.abort(new WeirError('TIMEOUT', message));
  });
  const either = AbortSignal.any([signal, timeout.signal]);
  try {
    return await identities.take(labels, either);
  } catch (error) {
    throw either.aborted ? either.reason : error;
  } finally {
    cancelTimer();
  }
}

async function undoAll(steps: Undo, logger: Logger): Promise<void> {
  for (const step of steps.toReversed()) {
    try {
      await step();
    } catch (error) {
      logger.error({ error }, 'Endpoint could not be undone completely');
    }
  }
}

async function createEndpoint(
  options: EndpointManagerOptions,
  making: { readonly spec: EndpointSpec; readonly signal: AbortSignal },
): Promise<Endpoint> {
  const { spec, signal } = making;
  const undo: Undo = [];
  try {
    return await connect(options, { draft: draftOf(options, { spec, undo }), undo, signal });
  } catch (error) {
    await undoAll(undo, options.logger);
    throw error;
  }
}

function draftOf(options: EndpointManagerOptions, making: { readonly spec: EndpointSpec; readonly undo: Undo }): Draft {
  const { table, pools, mtu, clock } = options;
  const { spec, undo } = making;
  const labels = identityLabels(spec, options);
  const allocate = (pool: AddressPool): IpAddress => {
    const address = pool.allocate();
    undo.push(() => pool.release(address));
    return address;
  };
  const ipv4 = allocate(pools.ipv4);
  const ipv6 = allocate(pools.ipv6);
  const id = table.freeId();
  const { containerId, ifName, network, netns, namespace, pod } = spec;
  const namedPorts = canonicalNamedPorts(spec.namedPorts ?? []);
  const record: EndpointRecord = {
    ...{ id, containerId, ifName, network, netns, namespace, pod, labels: spec.labels, mtu },
    ipv4: formatIpAddress(ipv4),
    ipv6: formatIpAddress(ipv6),
    mac: '',
    hostInterface: hostInterfaceOf(id),
    hostIfindex: 0,
    createdMs: clock.nowMs(),
    ...(spec.serviceAccount !== undefined && { serviceAccount: spec.serviceAccount }),
    ...(namedPorts.length > 0 && { namedPorts }),
  };
  const reason = 'the identity of its labels is not known yet';
  table.put({ record, state: 'waiting-for-identity', reason, identity: undefined, labels });
  undo.push(() => table.delete(id));
  return { record, labels, ipv4, ipv6 };
}

/** Devices and identity come side by side; the way is opened only when the policy is in force. */
async function connect(
  options: EndpointManagerOptions,
  making: { readonly draft: Draft; readonly undo: Undo; readonly signal: AbortSignal },
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
  const broken = new AbortController();
  const [link, identity] = await allOrFirstError([
    podNetwork.create({ ...draft.record, addresses }).catch((error: unknown) => {
      // Without devices there is no point in waiting for the other.
      broken.abort(error);
      throw error;
    }),
    takeIdentity(options, labels, AbortSignal.any([making.signal, broken.signal])).then((taken) => {
      undo.push(() => identities.release(taken));
      return taken;
    }),
  ]);
  const record = { ...draft.record, ...link, identity: { id: identity, labels: labels.key } };
  const waiting: Endpoint = { ...table.require(record.id), record, state: 'waiting-to-regenerate', reason: undefined };
  undo.push(() => store.remove(record.id));
  await store.save(record);
  undo.push(() => placement.leave({ ...waiting, identity }));
  datapath.attachEndpoint({ id: record.id, ifindex: record.hostIfindex });
  await placement.enter([{ endpoint: waiting, labels, identity }]);
  await podNetwork.open(record);
  logger.info({ endpoint: record.id, pod: `${record.namespace}/${record.pod}`, identity }, 'Endpoint is ready');
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
  logger.info({ endpoint: record.id, pod: `${record.namespace}/${record.pod}` }, 'Endpoint is gone');
}

/** `endpoint` is what it was, with the record that it is to have. */
async function relabelEndpoint(
  options: EndpointManagerOptions,
  wanted: { readonly endpoint: Endpoint; readonly labels: LabelSet; readonly signal: AbortSignal },
): Promise<Endpoint> {
  const { table, placement, identities, store, logger } = options;
  const { endpoint, labels, signal } = wanted;
  const before = table.require(endpoint.record.id);
  if (before.state === 'disconnecting' || before.state === 'invalid') {
    throw new WeirError('FAILED_PRECONDITION', `Endpoint ${before.record.id} is ${before.state}; its labels are fixed`);
  }
  table.put(moved(before, 'waiting-for-identity', 'its labels have changed, their identity is not known yet'));
  const undo: Undo = [];
  try {
    const identity = await takeIdentity(options, labels, signal);
    undo.push(() => identities.release(identity));
    undo.push(() => store.save(before.record));
    const record = { ...endpoint.record, identity: { id: identity, labels: labels.key } };
    await store.save(record);
    const waiting: Endpoint = { ...endpoint, record, state: 'waiting-to-regenerate', reason: undefined };
    await placement.enter([{ endpoint: waiting, labels, identity }]);
    if (before.identity !== undefined) identities.release(before.identity);
    return table.require(endpoint.record.id);
  } catch (error) {
    await undoAll(undo, logger);
    table.put({ ...before, reason: `its labels could not be changed: ${WeirError.from(error).message}` });
    throw error;
  }
}

async function moveEndpoint(
  options: EndpointManagerOptions,
  move: { readonly queue: KeyedQueue; readonly record: EndpointRecord; readonly movedIdentity: MovedIdentity },
): Promise<void> {
  const { table, placement, store, clock, logger } = options;
  const { queue, record, movedIdentity } = move;
  const { from, to, labels } = movedIdentity;
  await queue.run(keyOf(record), async (signal) => {
    const endpoint = table.get(record.id);
    if (endpoint?.state !== 'ready' || endpoint.identity !== from || signal.aborted) return;
    const movedRecord = { ...endpoint.record, identity: { id: to, labels: labels.key } };
    try {
      const waiting = moved({ ...endpoint, record: movedRecord }, 'waiting-to-regenerate');
      await placement.enter([{ endpoint: waiting, labels, identity: to }]);
    } catch (error) {
      const reason = `it could not be moved to identity ${to}: ${WeirError.from(error).message}`;
      table.put({ ...endpoint, reason });
      logger.error({ endpoint: record.id, identity: to, error }, 'Endpoint could not be moved to another identity');
      clock.schedule(retryDelayMaxMs, () => void moveEndpoint(options, move));
      return;
    }
    await store.save(movedRecord).catch((error: unknown) => {
      logger.error({ endpoint: record.id, identity: to, error }, 'Identity of an endpoint could not be written down');
    });
  });
}

async function resumeEndpoint(
  options: EndpointManagerOptions,
  resuming: { readonly id: number; readonly queue: KeyedQueue; readonly waits: KeyedQueue },
): Promise<void> {
  const { table, identities, clock, logger } = options;
  const { id, queue, waits } = resuming;
  const backoff = createBackoff({ initialMs: retryDelayMinMs, maxMs: retryDelayMaxMs });
  for (;;) {
    const endpoint = table.get(id);
    if (endpoint?.state !== 'restoring') return;
    const key = keyOf(endpoint.record);
    try {
      const { labels } = endpoint;
      const identity = await waits.run(key, (signal) => identities.take(labels, signal));
      await queue.run(key, () => enterRestored(options, { id, labels, identity }));
    } catch (thrown) {
      const error = WeirError.from(thrown);
      if (error.code === 'UNAVAILABLE' || table.get(id)?.state !== 'restoring') return;
      logger.error({ endpoint: id, error }, 'Endpoint could not be restored yet');
      await new Promise<void>((resolve) => clock.schedule(backoff.nextMs(), resolve));
    }
  }
}

/** Its identity is known by now; the endpoint may have been removed or relabelled in the meantime. */
async function enterRestored(
  options: EndpointManagerOptions,
  { id, labels, identity }: { readonly id: number; readonly labels: LabelSet; readonly identity: number },
): Promise<void> {
  const { table, placement, identities } = options;
  const endpoint = table.get(id);
  if (endpoint?.state !== 'restoring' || endpoint.labels.key !== labels.key) return identities.release(identity);
  try {
    await placement.enter([{ endpoint, labels, identity }]);
  } catch (error) {
    identities.release(identity);
    throw error;
  }
  await openWay(options, endpoint);
}

/**
 * Attaches the program and lets packets flow, whatever of that has been done before: the agent before may have died at any
 * moment. An endpoint with which that is not possible becomes invalid.
 */
export async function openWay(
  options: Pick<EndpointManagerOptions, 'datapath' | 'podNetwork' | 'table' | 'logger'>,
  { record }: Endpoint,
): Promise<void> {
  const { datapath, podNetwork, table, logger } = options;
  try {
    datapath.attachEndpoint({ id: record.id, ifindex: record.hostIfindex });
    await podNetwork.open(record);
  } catch (thrown) {
    const error = WeirError.from(thrown);
    table.put(moved(table.require(record.id), 'invalid', error.message));
    logger.error({ endpoint: record.id, error }, 'Endpoint cannot be connected');
  }
}

/** As `Promise.all`, but waits for all of them also when one fails: what is under way must be there to be undone. */
async function allOrFirstError<A, B>(tasks: readonly [Promise<A>, Promise<B>]): Promise<[A, B]> {
  const [a, b] = await Promise.allSettled(tasks);
  if (a.status === 'rejected') throw a.reason;
  if (b.status === 'rejected') throw b.reason;
  return [a.value, b.value];
}
