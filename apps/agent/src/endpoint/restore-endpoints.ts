// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Datapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { type IdentityLabelFilter, type IpAddress, ipAddressFromBytes, parseIpAddress } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { PodNetwork } from '../cni/pod-network.ts';
import type { IdentitySource } from '../identity/identity-source.ts';
import type { IdentityPorts } from '../identity/identity-ports.ts';
import type { AddressPool } from '../ipam/address-pool.ts';
import type { Commit, PolicyController } from '../policy/policy-controller.ts';
import type { PolicySlots } from '../policy/policy-slots.ts';
import type { PolicySubjects } from '../policy/policy-subjects.ts';
import type { Endpoint } from './endpoint.ts';
import { type EndpointManager, identityLabels, openWay } from './endpoint-manager.ts';
import { notePorts, type Arrival, type EndpointPlacement } from './endpoint-placement.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { EndpointStore } from './endpoint-store.ts';
import type { EndpointTable } from './endpoint-table.ts';
import type { NamespaceLabelTable } from './namespace-labels.ts';

export interface RestoreOptions {
  readonly table: EndpointTable;
  readonly placement: EndpointPlacement;
  readonly controller: PolicyController;
  readonly manager: Pick<EndpointManager, 'resume'>;
  readonly datapath: Pick<Datapath, 'attachEndpoint' | 'detachEndpoint' | 'listEndpoints'>;
  readonly identities: IdentitySource;
  readonly slots: PolicySlots;
  readonly subjects: PolicySubjects;
  readonly ports: IdentityPorts;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
  readonly podNetwork: PodNetwork;
  readonly store: EndpointStore;
  readonly labelFilter: IdentityLabelFilter;
  readonly namespaces: Pick<NamespaceLabelTable, 'labelsOf'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How a restart went. */
export interface Restored {
  /** Endpoints that are under their policy again. */
  readonly ready: number;
  /** Resolves when every other one is, too, or has been removed. Never rejects. */
  readonly complete: Promise<void>;
}

// Identities that are known on this node come at once; the others may take as long as the allocator is away.
const identityPatienceMs = 1_000;

/**
 * Takes over the endpoints of the agent before. Those that can be are made ready in one commit, after `policies` (the
 * node's policies, and the identities that are known): where nothing has changed meanwhile, nothing is written. What the
 * kernel enforces stays in force until then. An endpoint whose interface is gone is forgotten; one whose file cannot be
 * read stays in the kernel as it is, with its number and its addresses. Rejects when the policies are not accepted.
 */
export async function restoreEndpoints(options: RestoreOptions, policies: Commit): Promise<Restored> {
  const { store, controller, placement, identities, ports, manager, table, logger } = options;
  const { records, problems } = await store.load();
  for (const { id, error } of problems) keepUnreadable(options, { id, error });
  const endpoints = (await withLivingLinks(options, records)).flatMap((record) => restoring(options, record));
  keepSlots(options, endpoints);
  const named = endpoints.flatMap(({ record }) => notePorts(ports, { record, identity: record.identity?.id }));
  const { policy } = policies;
  const upsertIdentities = [...(policy?.upsertIdentities ?? []), ...named];
  await controller.commit({ ...policies, policy: { ...policy, upsertIdentities } });

  const arrivals = await arrivalsOf(options, endpoints);
  try {
    await placement.enter(arrivals);
  } catch (error) {
    logger.error({ error, count: arrivals.length }, 'Restored endpoints could not be brought up to date together');
    for (const { identity } of arrivals) identities.release(identity);
  }
  const ready = endpoints.filter(({ record }) => table.get(record.id)?.state === 'ready');
  for (const endpoint of ready) await openWay(options, endpoint);
  const rest = endpoints.filter((endpoint) => !ready.includes(endpoint));
  const complete = Promise.all(rest.map(({ record }) => manager.resume(record.id)));
  return { ready: ready.length, complete: complete.then(() => undefined) };
}

/** Each policy stays where the kernel has it. */
function keepSlots({ datapath, slots, subjects }: RestoreOptions, endpoints: readonly Endpoint[]): void {
  const inKernel = new Map(datapath.listEndpoints().map((endpoint) => [endpoint.id, endpoint]));
  for (const { record } of endpoints) {
    const found = inKernel.get(record.id);
    if (found !== undefined) slots.adopt(subjects.numberOf(found.identity, record.namedPorts), found.policySlot);
  }
}

/** Those whose identity is known soon. */
async function arrivalsOf(
  { identities, clock }: RestoreOptions,
  endpoints: readonly Endpoint[],
): Promise<readonly Arrival[]> {
  const patience = new AbortController();
  const cancelTimer = clock.schedule(identityPatienceMs, () =>
    patience.abort(new WeirError('TIMEOUT', 'Not known yet')),
  );
  const taken = await Promise.allSettled(endpoints.map(({ labels }) => identities.take(labels, patience.signal)));
  cancelTimer();
  return endpoints.flatMap((endpoint, index) => {
    const result = taken[index];
    const { labels } = endpoint;
    return result?.status === 'fulfilled' ? [{ endpoint, labels, identity: result.value }] : [];
  });
}

function restoring(options: RestoreOptions, record: EndpointRecord): Endpoint[] {
  const { table, identities, logger } = options;
  try {
    const labels = identityLabels(record, options);
    if (record.identity?.labels === labels.key) identities.recall(record.identity.id, labels);
    claimAddresses(options, [parseIpAddress(record.ipv4), parseIpAddress(record.ipv6)]);
    const reason = 'the identity of its labels is not known yet';
    return [table.put({ record, state: 'restoring', reason, identity: undefined, labels })];
  } catch (error) {
    keepUnreadable(options, { id: record.id, error });
    logger.error({ endpoint: record.id, error }, 'Endpoint file contradicts another one');
    return [];
  }
}

/** Throws ALREADY_EXISTS, with neither claimed, when another endpoint has one of them. */
function claimAddresses({ pools, logger }: RestoreOptions, addresses: readonly [IpAddress, IpAddress]): void {
  const claim = (pool: AddressPool, address: IpAddress): void => {
    try {
      pool.claim(address);
    } catch (error) {
      // The node has been given another range since; who has an address keeps it.
      if (!(error instanceof WeirError) || error.code !== 'INVALID_ARGUMENT') throw error;
      logger.warn({ error }, 'Endpoint keeps an address that is not of the pod range');
    }
  };
  claim(pools.ipv4, addresses[0]);
  try {
    claim(pools.ipv6, addresses[1]);
  } catch (error) {
    pools.ipv4.release(addresses[0]);
    throw error;
  }
}

/** Nothing is known of this endpoint but what the kernel has: that stays, and nobody else gets its number or addresses. */
function keepUnreadable(
  options: RestoreOptions,
  { id, error }: { readonly id: number | undefined; readonly error: unknown },
): void {
  const { table, datapath, logger } = options;
  logger.error({ endpoint: id, error }, 'Endpoint is left as it is: remove its file and restart to be rid of it');
  if (id === undefined) return;
  table.reserve(id);
  for (const { ipv4, ipv6 } of datapath.listEndpoints().filter((each) => each.id === id)) {
    try {
      claimAddresses(options, [ipAddressFromBytes(ipv4), ipAddressFromBytes(ipv6)]);
    } catch (cause) {
      logger.error({ endpoint: id, error: cause }, 'Address has two owners');
    }
  }
}

async function withLivingLinks(options: RestoreOptions, records: readonly EndpointRecord[]): Promise<EndpointRecord[]> {
  const { podNetwork, datapath, store, logger } = options;
  const links = await podNetwork.hostInterfaces();
  const isAlive = ({ hostInterface, hostIfindex }: EndpointRecord): boolean => links.get(hostInterface) === hostIfindex;
  for (const record of records.filter((each) => !isAlive(each))) {
    try {
      datapath.detachEndpoint(record);
      await store.remove(record.id);
      logger.info({ endpoint: record.id, pod: `${record.namespace}/${record.pod}` }, 'Endpoint has gone meanwhile');
    } catch (error) {
      logger.error({ endpoint: record.id, error: WeirError.from(error) }, 'Endpoint that is gone cannot be forgotten');
    }
  }
  return records.filter(isAlive);
}
