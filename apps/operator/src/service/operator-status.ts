// SPDX-License-Identifier: Apache-2.0
import { formatCidr } from '@weir/model';
import type { weir } from '@weir/proto';
import type { Duties } from '../duties.ts';
import type { KubernetesDuties } from '../kubernetes/kubernetes-duties.ts';
import type { LeaderElection } from '../leader/leader-election.ts';
import type { AbsentNodes } from '../ranges/absent-nodes.ts';
import type { PodRangePool } from '../ranges/pod-range-pool.ts';
import type { RangeLedger } from '../ranges/range-ledger.ts';
import type { ClusterPools } from '../ranges/range-table.ts';
import { rangesMessage } from './operator-service.ts';

export interface OperatorStatusOptions {
  readonly name: string;
  readonly version: string;
  readonly startedMs: number;
  readonly pools: ClusterPools;
  readonly election: Pick<LeaderElection, 'isLeader' | 'leader' | 'away'>;
  readonly ledger: Pick<RangeLedger, 'table' | 'refresh'>;
  readonly absent: Pick<AbsentNodes, 'sinceMs'>;
  readonly duties: Pick<Duties, 'reason' | 'lastCollection' | 'collections' | 'releases'>;
  readonly graceMs: number;
  readonly inKubernetes?: Pick<KubernetesDuties, 'reason'> | undefined;
}

const poolMessage = ({ prefix, nodePrefixLength, capacity }: PodRangePool): weir.operator.v1.Pool.$Properties => ({
  prefix: formatCidr(prefix),
  nodePrefixLength,
  capacity,
});

/** How the operator is, with what the store says now where it can be asked. */
export async function describeOperator(
  options: OperatorStatusOptions,
): Promise<weir.operator.v1.GetStatusResponse.$Properties> {
  const { name, version, startedMs, pools, election, ledger, absent, duties, graceMs, inKubernetes } = options;
  // What is known from before is better than nothing.
  await ledger.refresh().catch(() => undefined);
  const { isLeader, leader, away } = election;
  return {
    ...{ name, version, startedMs, leader },
    role: isLeader ? 'leader' : away === undefined ? 'follower' : 'away',
    ipv4Pool: poolMessage(pools.ipv4),
    ipv6Pool: poolMessage(pools.ipv6),
    nodes: [...ledger.table.all()]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([node, ranges]) => ({ node, ranges: rangesMessage(ranges), absentSinceMs: absent.sinceMs(node) ?? 0 })),
    reason: away ?? duties.reason ?? inKubernetes?.reason ?? '',
    ...{ collections: duties.collections, releases: duties.releases, graceMs },
    ...(duties.lastCollection && { lastCollection: duties.lastCollection }),
  };
}
