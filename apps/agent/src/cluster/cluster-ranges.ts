// SPDX-License-Identifier: Apache-2.0
import type { ClusterChanges, ClusterNode } from '@weir/identity-client';
import {
  type Cidr,
  cidrContains,
  cidrOfAddress,
  formatCidr,
  parseCidr,
  parseIpAddress,
  reservedIdentity,
} from '@weir/model';

/** Address ranges of other nodes and the identities that they have here. */
export interface RangeChanges {
  readonly upserted: readonly { readonly range: Cidr; readonly identity: number }[];
  readonly removed: readonly Cidr[];
}

export interface ClusterRangesOptions {
  /** Name of this node: what it has told itself is known here better. */
  readonly self: string;
  readonly podRanges: readonly Cidr[];
  /** What another node is known as. */
  readonly identityOf: (node: ClusterNode) => number;
}

const addressRanges = ({ addresses }: ClusterNode): Cidr[] =>
  addresses.map((text) => cidrOfAddress(parseIpAddress(text)));
const podRangesOf = ({ podRanges }: ClusterNode): Cidr[] => podRanges.map((text) => parseCidr(text));

/** A node's own addresses, each with what the node is known as. */
export const nodeRanges = (node: ClusterNode, identity: number): RangeChanges['upserted'] =>
  addressRanges(node).map((range) => ({ range, identity }));

/** What the other nodes have: themselves, their pods, and addresses in their ranges that nobody has yet. */
function rangesOf(node: ClusterNode, identity: number): RangeChanges['upserted'] {
  return [
    ...nodeRanges(node, identity),
    ...podRangesOf(node).map((range) => ({ range, identity: reservedIdentity.unmanaged })),
  ];
}

/** Turns what the directory tells into ranges of the ipcache. */
export function createClusterRanges({
  self,
  podRanges,
  identityOf,
}: ClusterRangesOptions): (changes: ClusterChanges) => RangeChanges {
  // A node that comes back with other addresses leaves its former ones.
  const known = new Map<string, ClusterNode>();

  const isOurs = (address: string): boolean => {
    const bytes = parseIpAddress(address);
    return podRanges.some((range) => cidrContains(range, bytes));
  };
  return ({ nodes, endpoints, deletedNodes, deletedEndpoints }) => {
    const others = nodes.filter(({ name }) => name !== self);
    const gone = deletedNodes.filter(({ name }) => name !== self);
    const former = [...others, ...gone].flatMap(({ name }) => known.get(name) ?? []);
    for (const node of others) known.set(node.name, node);
    for (const { name } of gone) known.delete(name);
    const upserted = others.flatMap((node) => rangesOf(node, identityOf(node)));
    const inUse = new Set(upserted.map(({ range }) => formatCidr(range)));
    return {
      upserted: [
        ...upserted,
        ...endpoints.flatMap(([address, { identity }]) =>
          isOurs(address) ? [] : [{ range: cidrOfAddress(parseIpAddress(address)), identity }],
        ),
      ],
      removed: [
        ...former
          .flatMap((node) => rangesOf(node, 0))
          .flatMap(({ range }) => (inUse.has(formatCidr(range)) ? [] : [range])),
        ...deletedEndpoints.filter((address) => !isOurs(address)).map((text) => cidrOfAddress(parseIpAddress(text))),
      ],
    };
  };
}
