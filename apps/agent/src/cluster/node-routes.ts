// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { ClusterNode } from '@weir/identity-client';
import {
  deleteRoute,
  getLink,
  listRoutes,
  type Netlink,
  replaceRoute,
  type Route,
  type RouteState,
} from '@weir/netlink';
import type { Logger } from '@weir/telemetry';

/** How packets get to the pods of another node. */
export type Reach =
  /** In VXLAN, to the node. */
  | { readonly kind: 'overlay'; readonly via: string }
  /** By a route of ours to the node, which shares a link with this one. */
  | { readonly kind: 'direct'; readonly via: string }
  /** By whatever routes the network has. */
  | { readonly kind: 'network'; readonly reason: string };

/** The routes of this host to the pods of the others. */
export interface NodeRoutes {
  /** Makes the routes what these nodes want. Routes to nodes that are unknown are kept until `prune`. */
  set(nodes: readonly ClusterNode[]): Promise<void>;
  /** Removes routes that an agent before has made and nobody wants. */
  prune(): Promise<void>;
  /** By pod range. */
  readonly reaches: ReadonlyMap<string, Reach>;
}

export interface NodeRoutesOptions {
  readonly netlink: Netlink;
  /** Undefined: packets are routed to the nodes. */
  readonly overlay: Overlay | undefined;
  readonly logger: Logger;
}

/** What routes into the overlay need. */
export interface Overlay {
  /** The host's own packets take the way of all that it sends to pods: they are judged, and wrapped, on its other end. */
  readonly hostDevice: string;
  /** The host's addresses in its pod ranges. */
  readonly routers: readonly string[];
  /** Addresses of this node that others reach. */
  readonly own: () => readonly string[];
}

/** Marks routes to other nodes' pods, so that they are told from those of anybody else. */
export const nodeRouteProtocol = 88;

const familyOf = (text: string): 'ipv4' | 'ipv6' => (text.includes(':') ? 'ipv6' : 'ipv4');
const mainTable = 254;

/** Where packets for a node's pods are sent: its first address of a family that this node has, too. */
export function tunnelAddressOf(node: Pick<ClusterNode, 'addresses'>, own: readonly string[]): string | undefined {
  const [first] = node.addresses;
  return node.addresses.find((address) => own.some((each) => familyOf(each) === familyOf(address))) ?? first;
}

/** One route for each pod range: to the node's first address of its family, or of the other one. */
function routesTo({ addresses, podRanges }: ClusterNode): Route[] {
  return podRanges.flatMap((destination) => {
    const sameFamily = addresses.find((address) => familyOf(address) === familyOf(destination));
    const gateway = sameFamily ?? addresses[0];
    return gateway === undefined ? [] : [{ destination, gateway, protocol: nodeRouteProtocol }];
  });
}

/** Routes of the host itself into the overlay, one for each pod range; what pods send does not need them. */
function overlayRoutesTo({ podRanges }: ClusterNode, routers: readonly string[], linkIndex: number): Route[] {
  return podRanges.map((destination) => {
    const preferredSource = routers.find((router) => familyOf(router) === familyOf(destination));
    return { destination, linkIndex, protocol: nodeRouteProtocol, ...(preferredSource && { preferredSource }) };
  });
}

/** `netlink` is the node's. */
export function createNodeRoutes({ netlink, overlay, logger }: NodeRoutesOptions): NodeRoutes {
  const wanted = new Map<string, Route>();
  const reaches = new Map<string, Reach>();

  const ours = (): Promise<RouteState[]> => netlink.run(listRoutes({ table: mainTable, protocol: nodeRouteProtocol }));
  const remove = async (routes: readonly RouteState[]): Promise<void> => {
    const keys = routes.map(({ destination, gateway, linkIndex, protocol }) => ({
      ...{ destination, protocol },
      ...(linkIndex !== undefined && { linkIndex }),
      ...(gateway !== undefined && { gateway }),
    }));
    await netlink.batchSettled(keys.map((key) => deleteRoute(key)));
  };
  const add = async (route: Route): Promise<void> => {
    const { destination, gateway = '' } = route;
    try {
      await netlink.run(replaceRoute(route));
      if (overlay === undefined) reaches.set(destination, { kind: 'direct', via: gateway });
    } catch (thrown) {
      // No link leads to the node: then the network between has to know the way.
      const { message: reason } = WeirError.from(thrown);
      if (reaches.get(destination)?.kind !== 'network') {
        logger.info({ range: destination, address: gateway, reason }, 'Pods of another node are left to the network');
      }
      reaches.set(destination, { kind: 'network', reason });
    }
  };

  return {
    reaches,
    async set(nodes) {
      const device = overlay && (await netlink.run(getLink({ name: overlay.hostDevice }))).index;
      const routesOf = (node: ClusterNode): Route[] =>
        overlay === undefined || device === undefined ? routesTo(node) : overlayRoutesTo(node, overlay.routers, device);
      const routes = new Map(nodes.flatMap(routesOf).map((route) => [route.destination, route]));
      const found = await ours();
      const gone = [...wanted.keys()].filter((destination) => !routes.has(destination));
      for (const destination of gone) reaches.delete(destination);
      await remove(found.filter(({ destination }) => gone.includes(destination)));
      wanted.clear();
      for (const node of overlay === undefined ? [] : nodes) {
        const via = tunnelAddressOf(node, overlay?.own() ?? []) ?? '';
        for (const destination of node.podRanges) reaches.set(destination, { kind: 'overlay', via });
      }
      for (const [destination, route] of routes) {
        wanted.set(destination, route);
        const present = found.filter((each) => each.destination === destination);
        if (present.some(({ gateway }) => gateway === route.gateway)) {
          if (overlay === undefined) reaches.set(destination, { kind: 'direct', via: route.gateway ?? '' });
          continue;
        }
        // IPv6 would keep the former next hop beside the new one.
        await remove(present);
        await add(route);
      }
    },
    async prune() {
      await remove((await ours()).filter(({ destination }) => !wanted.has(destination)));
    },
  };
}
