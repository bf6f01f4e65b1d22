// SPDX-License-Identifier: Apache-2.0
import type { Datapath } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import type { IdentityLabelFilter } from '@weir/model';
import { getLink, type Netlink } from '@weir/netlink';
import type { PolicyUpdate } from '@weir/policy';
import type { Logger } from '@weir/telemetry';
import type { PodNetwork } from '../cni/pod-network.ts';
import type { IdentitySource } from '../identity/identity-source.ts';
import type { AddressPool } from '../ipam/address-pool.ts';
import { addressesOf, type Endpoint } from './endpoint.ts';
import { identityLabels } from './endpoint-manager.ts';
import type { Arrival, EndpointPlacement } from './endpoint-placement.ts';
import type { EndpointRecord } from './endpoint-record.ts';
import type { EndpointStore } from './endpoint-store.ts';
import type { EndpointTable } from './endpoint-table.ts';

export interface RestoreOptions {
  readonly table: EndpointTable;
  readonly placement: EndpointPlacement;
  readonly datapath: Pick<Datapath, 'attachEndpoint' | 'detachEndpoint'>;
  readonly identities: IdentitySource;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
  readonly netlink: Netlink;
  readonly podNetwork: Pick<PodNetwork, 'open'>;
  readonly store: EndpointStore;
  readonly labelFilter: IdentityLabelFilter;
  readonly logger: Logger;
}

/** How a restart went. */
export interface Restored {
  readonly ready: number;
  /** Resolves when the last endpoint whose identity was not known at once is ready, too. */
  readonly complete: Promise<void>;
}

// Identities that are known on this node come at once; the others may take as long as the allocator is away.
const identityPatienceMs = 1_000;

/**
 * Takes over the endpoints of the agent before. Those that can be are made ready in one commit, together with `policies`
 * (the node's policies, and the identities that are known): where nothing has changed meanwhile, nothing is written. What
 * the kernel enforces stays in force until then. An endpoint whose interface is gone is forgotten.
 */
export async function restoreEndpoints(options: RestoreOptions, policies: PolicyUpdate): Promise<Restored> {
  const { store, placement, table, logger } = options;
  const { records, problems } = await store.load();
  for (const error of problems) logger.error({ error }, 'endpoint file cannot be read');
  const alive = await withLivingLinks(options, records);
  const endpoints = alive.map((record) => table.put(restoring(options, record)));

  const pending = new Map(endpoints.map((endpoint) => [endpoint, arrivalOf(options, endpoint)]));
  const soon: Arrival[] = [];
  const collect = [...pending].map(async ([endpoint, arrival]) => {
    soon.push(await arrival);
    pending.delete(endpoint);
  });
  await Promise.race([Promise.allSettled(collect), new Promise((resolve) => setTimeout(resolve, identityPatienceMs))]);
  const now = [...soon];
  try {
    await placement.enter(now, policies);
  } catch (error) {
    // They stay under what the kernel has, and the controller goes on trying.
    logger.error({ error, count: now.length }, 'restored endpoints could not be brought up to date');
  }
  for (const { endpoint } of now) await letFlow(options, endpoint);

  const later = [...pending].map(async ([endpoint, arrival]) => {
    await placement.enter([await arrival]);
    await letFlow(options, endpoint);
  });
  return { ready: now.length, complete: Promise.all(later).then(() => undefined) };
}

function restoring({ pools, labelFilter }: RestoreOptions, record: EndpointRecord): Endpoint {
  const [ipv4, ipv6] = addressesOf(record);
  pools.ipv4.claim(ipv4);
  pools.ipv6.claim(ipv6);
  return {
    record,
    state: 'restoring',
    reason: 'the identity of its labels is not known yet',
    identity: undefined,
    labels: identityLabels(record, labelFilter),
  };
}

async function arrivalOf({ identities }: RestoreOptions, endpoint: Endpoint): Promise<Arrival> {
  const { labels } = endpoint;
  return { endpoint, labels, identity: await identities.take(labels) };
}

/** The agent before may have died at any moment: the program is attached and the way open, or they are made so now. */
async function letFlow({ datapath, podNetwork }: RestoreOptions, { record }: Endpoint): Promise<void> {
  datapath.attachEndpoint({ id: record.id, ifindex: record.hostIfindex });
  await podNetwork.open(record);
}

async function withLivingLinks(options: RestoreOptions, records: readonly EndpointRecord[]): Promise<EndpointRecord[]> {
  const { netlink, datapath, store, logger } = options;
  const links = await netlink.batchSettled(records.map(({ hostIfindex: index }) => getLink({ index })));
  const isAlive = (record: EndpointRecord, index: number): boolean => {
    const link = links[index];
    return link?.status === 'fulfilled' && link.value.name === record.hostInterface;
  };
  for (const record of records.filter((each, index) => !isAlive(each, index))) {
    try {
      datapath.detachEndpoint(record);
      await store.remove(record.id);
      logger.info({ endpoint: record.id, pod: `${record.namespace}/${record.pod}` }, 'endpoint has gone meanwhile');
    } catch (error) {
      logger.error({ endpoint: record.id, error: WeirError.from(error) }, 'endpoint that is gone cannot be forgotten');
    }
  }
  return records.filter(isAlive);
}
