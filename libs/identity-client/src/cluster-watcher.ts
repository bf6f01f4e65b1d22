// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { ClusterDirectoryDefinition } from '@weir/proto';
import { createRpcClient, type TlsIdentity } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { allocatorConnection } from './allocator-connection.ts';
import { type ClusterNode, createClusterView } from './cluster-view.ts';
import { createWatchLoop } from './watch-loop.ts';

/** Sees who is in the cluster, without being a node of it. */
export interface ClusterWatcher {
  /** Nodes whose leases run; after the allocators have lost their memory also those that have not told again yet. */
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  /** Why what is seen may be old; undefined while it is not. */
  readonly outOfSight: string | undefined;
  start(): void;
  stop(): Promise<void>;
}

export interface ClusterWatcherOptions {
  /** Where the allocators listen. */
  readonly address: string;
  readonly tls?: TlsIdentity;
  /** Who watches, for the allocator's log. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
}

/** Makes the watcher; `start` connects, and keeps connected. */
export function createClusterWatcher(options: ClusterWatcherOptions): ClusterWatcher {
  const { name, clock, log, random = Math.random } = options;
  const rpc = createRpcClient(ClusterDirectoryDefinition, allocatorConnection(options));
  const view = createClusterView({ clock, onChange: () => undefined });
  let isSynced = false;
  const watch = createWatchLoop({
    ...{ node: name, clock, random },
    open: ({ revision: afterRevision, ...from }, call) => rpc.watchCluster({ ...from, afterRevision }, call),
    say: {
      connected: ({ epoch, revision }) => log.info({ epoch, revision }, 'Sees the cluster'),
      away: (reason) => log.warn({ reason }, 'The cluster is out of sight'),
    },
    cursor: () => view.cursor,
    onResponse(response) {
      view.apply(response);
      isSynced ||= response.synced;
    },
    onConnected: () => undefined,
    onDisconnected() {
      isSynced = false;
      view.interrupt();
    },
  });
  return {
    nodes: view.nodes,
    get outOfSight() {
      const { connection } = watch;
      if (connection.kind === 'connected' && isSynced) return undefined;
      return connection.kind === 'disconnected' ? connection.reason : 'The identity-allocator has not answered yet';
    },
    start: () => watch.start(),
    async stop() {
      await watch.stop();
      view.close();
      rpc.close();
    },
  };
}
