// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Cidr } from '@weir/model';
import { createFamilyParts } from './family-parts.ts';
import type { PodRangePool } from './pod-range-pool.ts';
import type { NodePodRanges, RangeChange } from './range-change.ts';

/** The pools of a cluster. */
export interface ClusterPools {
  readonly ipv4: PodRangePool;
  readonly ipv6: PodRangePool;
}

/** What {@link RangeTable.choose} goes by. */
export interface RangeRequest {
  readonly node: string;
  /** What the node believes to be its own. */
  readonly known: Partial<NodePodRanges>;
  /** Ranges that other nodes have announced: nobody gets them, whatever the table says. */
  readonly occupied: readonly Cidr[];
}

/** Which node has which ranges: the rules, in memory. */
export interface RangeTable {
  readonly size: number;
  get(node: string): NodePodRanges | undefined;
  all(): Iterable<readonly [node: string, ranges: NodePodRanges]>;
  /** Ranges for a node that has none; takes nothing yet. RESOURCE_EXHAUSTED names the pool that is used up. */
  choose(request: RangeRequest): NodePodRanges;
  /** Whether both are parts of the pools that nobody has. */
  isFree(ranges: NodePodRanges): boolean;
  /** Takes over what is durable. */
  apply(change: RangeChange): void;
}

// What the allocators' directory holds.
const nodesMax = 10_000;

/** Makes an empty table. */
export function createRangeTable(pools: ClusterPools): RangeTable {
  const nodes = new Map<string, NodePodRanges>();
  const parts = { ipv4: createFamilyParts(pools.ipv4), ipv6: createFamilyParts(pools.ipv6) };

  const release = (node: string): void => {
    const former = nodes.get(node);
    if (former === undefined) return;
    nodes.delete(node);
    parts.ipv4.release(former.ipv4);
    parts.ipv6.release(former.ipv6);
  };
  return {
    get size() {
      return nodes.size;
    },
    get: (node) => nodes.get(node),
    all: () => nodes,
    choose({ node, known, occupied }) {
      if (nodes.size >= nodesMax) {
        throw new WeirError('RESOURCE_EXHAUSTED', `Node "${node}" is one too many: ${nodesMax} nodes have pod ranges`);
      }
      return {
        ipv4: parts.ipv4.choose({ known: known.ipv4, occupied }),
        ipv6: parts.ipv6.choose({ known: known.ipv6, occupied }),
      };
    },
    isFree: ({ ipv4, ipv6 }) => parts.ipv4.isFree(ipv4) && parts.ipv6.isFree(ipv6),
    apply(change) {
      release(change.node);
      if (change.kind === 'release') return;
      const { node, ranges } = change;
      nodes.set(node, ranges);
      parts.ipv4.take(ranges.ipv4);
      parts.ipv6.take(ranges.ipv6);
    },
  };
}
