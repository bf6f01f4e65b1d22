// SPDX-License-Identifier: Apache-2.0
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { ClusterDirectory } from '../cluster/cluster-directory.ts';
import type { IdentityStore } from '../store/identity-store.ts';
import type { ChangeHub } from './change-hub.ts';

export interface AllocatorMetricsOptions {
  readonly store: Pick<IdentityStore, 'counts' | 'revision' | 'away'>;
  readonly hub: Pick<ChangeHub, 'watcherCount'>;
  readonly directory: Pick<ClusterDirectory, 'nodeCount'>;
}

/** What the allocator counts, read at the moment of a scrape, and what Node.js says of the process. */
export function createAllocatorMetrics({ store, hub, directory }: AllocatorMetricsOptions): Registry {
  const registry = new Registry();
  const gauges: Readonly<Record<string, { readonly help: string; readonly value: () => number }>> = {
    identities: { help: 'Identities in use', value: () => store.counts.identities },
    nodes: { help: 'Nodes with a lease', value: () => store.counts.nodes },
    references: { help: 'References that nodes hold to identities', value: () => store.counts.references },
    announced_nodes: { help: 'Nodes that have announced themselves', value: () => directory.nodeCount },
    revision: { help: 'Revision of the newest change of an identity', value: () => store.revision },
    watchers: { help: 'Streams of identities that are open', value: () => hub.watcherCount },
    store_away: { help: '1 while the store cannot be reached', value: () => (store.away === undefined ? 0 : 1) },
  };
  for (const [name, { help, value }] of Object.entries(gauges)) {
    new Gauge({
      name: `weir_identity_allocator_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  }
  collectDefaultMetrics({ register: registry });
  return registry;
}
