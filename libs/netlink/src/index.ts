// SPDX-License-Identifier: Apache-2.0
// rtnetlink for people: links, addresses, routes, rules and neighbours as plain values, in any network namespace, many at
// a time. What they are for is decided elsewhere: this library keeps no state and retries nothing but interrupted dumps.
export { createNetlink, type Netlink, type NetlinkOptions, type Results, type SettledResults } from './netlink.ts';
export { tolerating, type Operation } from './operation.ts';
export type { AddressFamily } from './ip-bytes.ts';
export type { Scope } from './scope.ts';
export {
  deleteLink,
  deleteLinks,
  getLink,
  listLinks,
  setLink,
  type Link,
  type LinkChanges,
  type LinkFilter,
} from './link.ts';
export type { LinkSettings, LinkTarget, OpenNetworkNamespace } from './link-message.ts';
export {
  addBridge,
  addVeth,
  addVxlan,
  type BridgeSpec,
  type LinkSpec,
  type VethSpec,
  type VxlanSpec,
} from './link-kinds.ts';
export {
  addAddress,
  deleteAddress,
  ensureAddress,
  listAddresses,
  type Address,
  type AddressFilter,
  type AddressState,
} from './address.ts';
export {
  addRoute,
  deleteRoute,
  listRoutes,
  replaceRoute,
  type Route,
  type RouteFilter,
  type RouteKey,
  type RouteState,
  type RouteType,
} from './route.ts';
export { addRule, deleteRule, ensureRule, listRules, type Rule, type RuleFilter, type RuleState } from './rule.ts';
export {
  addNeighbour,
  deleteNeighbour,
  listNeighbours,
  replaceNeighbour,
  type Neighbour,
  type NeighbourFilter,
  type NeighbourReachability,
  type NeighbourState,
} from './neighbour.ts';
export { watchNetlink, type NetlinkEvent, type NetlinkEventKind, type WatchOptions } from './watch.ts';
export { readSysctl, writeSysctl, type SysctlKey } from './sysctl.ts';
export { destroyUdpSocket, listConnectedUdpSockets, type ConnectedUdpSocket } from './socket-diag.ts';
