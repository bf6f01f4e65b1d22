// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { ClusterWatcher } from '@weir/identity-client';
import { parseCidr } from '@weir/model';
import type { NodePodRanges } from './range-change.ts';
import type { RangeLedger } from './range-ledger.ts';

/** Gives nodes their ranges, and none that another node has announced. */
export interface RangeGiver {
  /** UNAVAILABLE while nobody can say which ranges are in use, RESOURCE_EXHAUSTED when a pool is used up. */
  give(node: string, known?: Partial<NodePodRanges>): Promise<NodePodRanges>;
}

/** Makes the giver. */
export function createRangeGiver({
  ledger,
  cluster,
}: {
  readonly ledger: Pick<RangeLedger, 'acquire'>;
  readonly cluster: Pick<ClusterWatcher, 'nodes' | 'outOfSight'>;
}): RangeGiver {
  return {
    async give(node, known = {}) {
      if (cluster.outOfSight !== undefined) {
        throw new WeirError('UNAVAILABLE', `Nobody can say which ranges are in use: ${cluster.outOfSight}`);
      }
      const others = [...cluster.nodes.values()].filter(({ name }) => name !== node);
      const occupied = others.flatMap(({ podRanges }) => podRanges.map((text) => parseCidr(text)));
      return ledger.acquire({ node, known, occupied });
    },
  };
}
