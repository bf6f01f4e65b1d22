// SPDX-License-Identifier: Apache-2.0
import { type Clock, systemClock } from '@weir/clock';
import type { ClusterPod } from '@weir/model';
import { ClusterDirectoryDefinition } from '@weir/proto';
import { createRpcClient, type TlsIdentity } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { allocatorConnection } from './allocator-connection.ts';
import { createAnnouncer } from './announcer.ts';
import { createClusterFile } from './cluster-file.ts';
import { type ClusterChanges, type ClusterNode, createClusterView } from './cluster-view.ts';
import { type AllocatorConnection, createWatchLoop } from './watch-loop.ts';

/** What a node tells of itself. */
export interface OwnAnnouncement extends Omit<ClusterNode, 'name'> {
  /** Addresses of its pods, each inside of a pod range. */
  readonly endpoints: readonly (readonly [address: string, pod: ClusterPod])[];
}

export interface ClusterClientOptions {
  /** Where the allocator listens: `unix:/absolute/path` or `host:port`. */
  readonly address: string;
  /** For allocators over TCP. */
  readonly tls?: TlsIdentity;
  /** Name of this node; one client per node. */
  readonly node: string;
  /** Where the other nodes are kept: `<state-dir>/cluster.json`. */
  readonly cachePath: string;
  /** What is true of this node at the moment of the call. */
  readonly own: () => OwnAnnouncement;
  /** Told of every change of the view, synchronously and in order. Must not throw. What is read from disk is not told. */
  readonly onChange: (changes: ClusterChanges) => void;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** How the client is doing, for a status command. */
export interface ClusterClientStatus {
  readonly connection: AllocatorConnection;
  readonly isAnnounced: boolean;
  /** Why the node is not announced. */
  readonly refusal: string | undefined;
}

/** A node's view of the cluster, and its own place in it. */
export interface ClusterClient {
  /** Reads what is on disk; `start` does so unless it has been done. */
  load(): Promise<void>;
  /** Connects and keeps connected. Does not wait for the allocator. */
  start(): Promise<void>;
  /** Tells the others what is new of this node, soon. Does nothing before `start`. */
  announce(): void;
  /** All nodes, this one included. */
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  readonly endpoints: ReadonlyMap<string, ClusterPod>;
  status(): ClusterClientStatus;
  stop(): Promise<void>;
}

/** Makes the client of a node. */
export function createClusterClient(options: ClusterClientOptions): ClusterClient {
  const { node, own, log, clock = systemClock, random = Math.random } = options;
  const rpc = createRpcClient(ClusterDirectoryDefinition, allocatorConnection(options));
  const view = createClusterView({
    clock,
    onChange(changes) {
      file.save();
      options.onChange(changes);
    },
  });
  const file = createClusterFile({ path: options.cachePath, view: () => view, clock, log });
  const announcer = createAnnouncer({
    ...{ rpc, clock, random, log },
    content() {
      const { addresses, podRanges, labels = {}, namedPorts = [], endpoints } = own();
      const ports = namedPorts.map(([identity, named]) => ({ identity, ports: [...named] }));
      return {
        node: {
          name: node,
          addresses: [...addresses],
          podRanges: [...podRanges],
          namedPorts: ports,
          labels: { ...labels },
        },
        endpoints: endpoints.map(([at, pod]) => ({ address: at, ...pod })),
      };
    },
  });
  const watch = createWatchLoop({
    ...{ node, clock, random },
    open: ({ revision: afterRevision, ...from }, call) => rpc.watchCluster({ ...from, afterRevision }, call),
    say: {
      connected: ({ epoch, revision }) => log.info({ epoch, revision }, 'Sees the cluster'),
      away: (reason) => log.warn({ reason }, 'The cluster is out of sight, known nodes stay'),
    },
    cursor: () => view.cursor,
    onResponse: view.apply,
    // Whatever it knows of us: a directory that has begun anew knows nothing.
    onConnected: announcer.announce,
    onDisconnected: view.interrupt,
  });
  let loading: Promise<void> | undefined;
  const load = (): Promise<void> => (loading ??= file.load(view));
  let isStarted = false;

  return {
    load,
    async start() {
      await load();
      isStarted = true;
      watch.start();
      announcer.announce();
    },
    announce() {
      if (isStarted) announcer.announce();
    },
    nodes: view.nodes,
    endpoints: view.endpoints,
    status: () => ({
      connection: watch.connection,
      isAnnounced: announcer.announcedIn !== undefined,
      refusal: announcer.refusal,
    }),
    async stop() {
      announcer.stop();
      await watch.stop();
      view.close();
      rpc.close();
      await file.flush();
    },
  };
}
