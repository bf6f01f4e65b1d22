// SPDX-License-Identifier: Apache-2.0
import type { ClusterClient, ClusterNode } from '@weir/identity-client';
import type { DatapathNode } from '@weir/datapath-maps';
import { cidrContains, formatCidr, formatIpAddress, parseCidr, parseIpAddress, reservedIdentity } from '@weir/model';
import type { weir } from '@weir/proto';
import type { NodeIdentities } from '../identity/node-identities.ts';
import type { Reach } from '../cluster/node-routes.ts';

/** What the nodes are described from. */
export interface NodeSources {
  readonly nodeName: string;
  readonly cluster: { readonly client: Pick<ClusterClient, 'nodes' | 'endpoints'> };
  readonly routes: { readonly reaches: ReadonlyMap<string, Reach> };
  readonly nodeIdentities: Pick<NodeIdentities, 'numberOf'>;
}

function rangeMessage(prefix: string, reach: Reach | undefined): weir.agent.v1.IPodRange {
  if (reach === undefined) return { prefix, reach: 'unknown' };
  return {
    prefix,
    reach: reach.kind,
    ...('via' in reach && { via: reach.via }),
    ...('reason' in reach && { reason: reach.reason }),
  };
}

/** A node of the overlay as the API shows it. */
export const tunnelMessage = ({ address, addresses, podRanges }: DatapathNode): weir.agent.v1.ITunnel => ({
  address: formatIpAddress(address),
  addresses: addresses.map(formatIpAddress),
  podRanges: podRanges.map((range) => formatCidr({ address: range.address, prefixLength: range.length })),
});

/** The nodes as the API shows them, by name. */
export function nodeMessages({ nodeName, cluster, routes, nodeIdentities }: NodeSources): weir.agent.v1.INode[] {
  const { nodes, endpoints } = cluster.client;
  const addresses = [...endpoints.keys()].map(parseIpAddress);
  const toMessage = (node: ClusterNode): weir.agent.v1.INode => {
    const { name, addresses: own, podRanges, labels = {} } = node;
    const ranges = podRanges.map((text) => parseCidr(text));
    const isSelf = name === nodeName;
    return {
      ...{ name, addresses: [...own], isSelf },
      labels: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
      identity: isSelf ? reservedIdentity.host : nodeIdentities.numberOf(node),
      podRanges: podRanges.map((prefix) =>
        isSelf ? { prefix, reach: 'local' } : rangeMessage(prefix, routes.reaches.get(prefix)),
      ),
      endpointAddresses: addresses.filter((address) => ranges.some((range) => cidrContains(range, address))).length,
    };
  };
  return [...nodes.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(toMessage);
}
