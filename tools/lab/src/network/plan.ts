// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';

/** An address of each family. */
export interface DualStack {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** A host on the lab's LAN: a network namespace with one interface, `eth0`. */
export interface HostPlan {
  readonly netns: string;
  /** The port of the LAN's bridge that it is plugged into. */
  readonly port: string;
  readonly address: DualStack;
}

/** A node: a host that routes, with a range of addresses for its pods. */
export interface NodePlan extends HostPlan {
  readonly name: string;
  readonly podRange: DualStack;
}

/** Everything about the lab's network that follows from its name and the number of nodes. */
export interface NetworkPlan {
  /** The network namespace that holds nothing but the bridge. */
  readonly lanNetns: string;
  readonly nodes: readonly NodePlan[];
  /** A host outside the cluster; the LAN's router, which knows where each pod range is. */
  readonly world: HostPlan;
}

/** Addresses of nodes and pod ranges are numbered in one byte. */
export const nodesMax = 100;

/** The interface by which a host is on the LAN. */
export const lanDevice = 'eth0';
export const lanMtu = 1500;

/** Lays out a lab's network. */
export function planNetwork(options: { readonly lab: string; readonly nodeCount: number }): NetworkPlan {
  const { lab, nodeCount } = options;
  assert(nodeCount >= 1 && nodeCount <= nodesMax, `a lab has 1 to ${nodesMax} nodes, not ${nodeCount}`);
  return {
    lanNetns: `${lab}-lan`,
    nodes: Array.from({ length: nodeCount }, (_, i) => planNode(lab, i + 1)),
    world: { netns: `${lab}-world`, port: 'world', address: { ipv4: '172.31.0.2', ipv6: 'fd00:172:31::2' } },
  };
}

function planNode(lab: string, number: number): NodePlan {
  const name = `node${number}`;
  return {
    name,
    netns: `${lab}-${name}`,
    port: name,
    address: { ipv4: `172.31.0.${10 + number}`, ipv6: `fd00:172:31::${10 + number}` },
    podRange: { ipv4: `10.244.${number}.0/24`, ipv6: `fd00:10:244:${number}::/64` },
  };
}
