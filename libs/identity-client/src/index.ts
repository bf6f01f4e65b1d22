// SPDX-License-Identifier: Apache-2.0
// A node's side of the identity-allocator: numbers for label sets with references counted and leases renewed, and every
// identity of the cluster in memory and on disk, so that what is known goes on working while the allocator is away. Knows
// nothing of endpoints or policy: it tells its events and leaves the rest to the agent.
export {
  createIdentityClient,
  type IdentityClient,
  type IdentityClientOptions,
  type IdentityClientStatus,
} from './identity-client.ts';
export type { AllocatorConnection } from './watch-loop.ts';
export type { IdentityEvents, KnownIdentity, MovedIdentity } from './events.ts';
export type { WaitingLabelSet } from './held-label-set.ts';
export {
  type ClusterClient,
  type ClusterClientOptions,
  type ClusterClientStatus,
  createClusterClient,
  type OwnAnnouncement,
} from './cluster-client.ts';
export { createClusterWatcher, type ClusterWatcher, type ClusterWatcherOptions } from './cluster-watcher.ts';
export { allocatorConnection } from './allocator-connection.ts';
export type { ClusterChanges, ClusterNode } from './cluster-view.ts';
