// SPDX-License-Identifier: Apache-2.0
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Duties } from '../duties.ts';
import type { KubernetesDuties } from '../kubernetes/kubernetes-duties.ts';
import type { LeaderElection } from '../leader/leader-election.ts';
import type { RangeLedger } from '../ranges/range-ledger.ts';
import type { ClusterPools } from '../ranges/range-table.ts';

export interface OperatorMetricsOptions {
  readonly election: Pick<LeaderElection, 'isLeader' | 'away'>;
  readonly ledger: Pick<RangeLedger, 'table'>;
  readonly duties: Pick<Duties, 'collections' | 'releases' | 'reason'>;
  readonly pools: ClusterPools;
  readonly inKubernetes?: Pick<KubernetesDuties, 'pending' | 'reason'> | undefined;
}

/** What the operator counts, read at the moment of a scrape, and what Node.js says of the process. */
export function createOperatorMetrics(options: OperatorMetricsOptions): Registry {
  const { election, ledger, duties, pools, inKubernetes } = options;
  const registry = new Registry();
  const gauges: Readonly<Record<string, { readonly help: string; readonly value: () => number }>> = {
    leader: { help: '1 while this operator leads', value: () => Number(election.isLeader) },
    store_away: { help: '1 while the store cannot be reached', value: () => Number(election.away !== undefined) },
    nodes: { help: 'Nodes that have pod ranges', value: () => ledger.table.size },
    ipv4_ranges: { help: 'IPv4 ranges that the pool has', value: () => pools.ipv4.capacity },
    ipv6_ranges: { help: 'IPv6 ranges that the pool has', value: () => pools.ipv6.capacity },
    collections: { help: 'Garbage collections that this operator has begun', value: () => duties.collections },
    released_nodes: { help: 'Nodes whose ranges this operator has taken', value: () => duties.releases },
    failing: {
      help: '1 when duties could not be done',
      value: () => Number((duties.reason ?? inKubernetes?.reason) !== undefined),
    },
    ...(inKubernetes && {
      kubernetes_pending: { help: 'Objects of Kubernetes to be looked at', value: () => inKubernetes.pending },
    }),
  };
  for (const [name, { help, value }] of Object.entries(gauges)) {
    new Gauge({
      name: `weir_operator_${name}`,
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
