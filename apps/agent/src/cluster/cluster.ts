// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import type { DatapathNode } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import {
  type ClusterChanges,
  type ClusterClient,
  type ClusterNode,
  createClusterClient,
  type OwnAnnouncement,
} from '@weir/identity-client';
import {
  canonicalNamedPorts,
  type Cidr,
  cidrContains,
  formatCidr,
  formatIpAddress,
  type IpAddress,
  parseCidr,
  type NamedPort,
  parseIpAddress,
} from '@weir/model';
import type { TlsIdentity } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { IdentityPorts } from '../identity/identity-ports.ts';
import type { NodeIdentities } from '../identity/node-identities.ts';
import type { DesiredIpcache } from '../ipcache/desired-ipcache.ts';
import type { HostAddresses } from '../node/host-addresses.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import { createSpread, type SpreadPod } from './spread.ts';
import { createClusterRanges, type RangeChanges } from './cluster-ranges.ts';
import { type NodeRoutes, tunnelAddressOf } from './node-routes.ts';

export interface ClusterOptions {
  readonly nodeName: string;
  readonly allocator: string;
  readonly tls?: TlsIdentity;
  readonly stateDir: string;
  readonly podRanges: readonly Cidr[];
  /** The node's own addresses in its pod ranges. */
  readonly routers: readonly IpAddress[];
  readonly table: EndpointTable;
  readonly ipcache: DesiredIpcache;
  readonly ports: IdentityPorts;
  /** What policies select this node by. */
  readonly labels: Readonly<Record<string, string>>;
  readonly nodeIdentities: Pick<NodeIdentities, 'numberOf' | 'takeNew'>;
  /** Called when the kernel has what was told of nodes: numbers may have become free. */
  readonly onNodesWritten: () => void;
  readonly controller: PolicyController;
  readonly addresses: HostAddresses;
  readonly routes: NodeRoutes;
  /** Packets to other nodes' pods go through the overlay, which has to know the nodes. */
  readonly isOverlay: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of what others have told, as soon as it is known. */
  readonly onChange: (changes: ClusterChanges) => void;
}

/** The other nodes: who they are, how to get there, and what identities their pods have. */
export interface Cluster {
  readonly client: ClusterClient;
  /** Reads what the agent before knew of the other nodes. Before that, names of their pods' ports mean nothing. */
  load(): Promise<void>;
  /** Resolves when the kernel has what was known of the other nodes when the agent before stopped. */
  start(): Promise<void>;
  /** The other nodes that are known. */
  readonly others: readonly ClusterNode[];
  /** Works out anew what is about to be written of the other nodes: they are known by other numbers. */
  renewNodes(): void;
  /** Of this node, that others reach. */
  readonly ownAddresses: readonly string[];
  /** Tells the others of a change of this node's endpoints. */
  announce(): void;
  /** See {@link Spread.wait}. */
  spread(pod: SpreadPod): Promise<void>;
  /** Why the kernel is behind; undefined in good times. */
  readonly behind: string | undefined;
  stop(): Promise<void>;
}

const retryDelayMs = 1_000;
// Until then everybody has told again whom the allocator may have forgotten.
const pruneDelayMs = 60_000;

/** All that is known, as one change. */
const everything = ({ nodes, endpoints }: Pick<ClusterClient, 'nodes' | 'endpoints'>): ClusterChanges => ({
  ...{ nodes: [...nodes.values()], endpoints: [...endpoints] },
  ...{ deletedNodes: [], deletedEndpoints: [] },
});

/** Ranges whose identity in the kernel is to change; no identity: it goes. The newest change of a range counts. */
type Pending = Map<string, { readonly range: Cidr; readonly identity: number | undefined }>;

/** What is written together. */
interface Due {
  readonly ranges: Pending;
  readonly areNodesDue: boolean;
  /** Identities whose named ports have changed. */
  readonly named: ReadonlySet<number>;
}

function addPending(pending: Pending, { upserted, removed }: RangeChanges): void {
  for (const range of removed) pending.set(formatCidr(range), { range, identity: undefined });
  for (const { range, identity } of upserted) pending.set(formatCidr(range), { range, identity });
}

/** Addresses and pods of this node, as the others are to see them. */
async function describeSelf({
  podRanges,
  addresses,
  routers,
}: ClusterOptions): Promise<Omit<OwnAnnouncement, 'endpoints' | 'namedPorts'>> {
  const reachable = (await addresses.ofUplinks()).filter(
    (address) => !podRanges.some((range) => cidrContains(range, address)),
  );
  return { addresses: [...reachable, ...routers].map(formatIpAddress), podRanges: podRanges.map(formatCidr) };
}

/** An endpoint outside of the node's ranges (they were other ones before) is one that nobody else finds a way to. */
function endpointsOf({ table, podRanges }: ClusterOptions): OwnAnnouncement['endpoints'] {
  const isInRange = (address: string): boolean => {
    const bytes = parseIpAddress(address);
    return podRanges.some((range) => cidrContains(range, bytes));
  };
  return table.list().flatMap(({ record, identity = record.identity?.id, state }) => {
    if (identity === undefined || state === 'disconnecting') return [];
    const pod = { identity, namespace: record.namespace, pod: record.pod };
    return [record.ipv4, record.ipv6].filter(isInRange).map((address) => [address, pod] as const);
  });
}

/** What the node's pods call their ports. */
function namedPortsOf({ table }: ClusterOptions): Required<OwnAnnouncement>['namedPorts'] {
  const named = new Map<number, NamedPort[]>();
  for (const { record, identity = record.identity?.id, state } of table.list()) {
    if (identity === undefined || state === 'disconnecting' || record.namedPorts === undefined) continue;
    named.set(identity, [...(named.get(identity) ?? []), ...record.namedPorts]);
  }
  return [...named].map(([identity, ports]) => [identity, canonicalNamedPorts(ports)]);
}

/** The other nodes as the overlay goes by them. */
const overlayNodes = (nodes: readonly ClusterNode[], own: readonly string[]): DatapathNode[] =>
  nodes.flatMap((node) => {
    const address = tunnelAddressOf(node, own);
    if (address === undefined) return [];
    return {
      address: parseIpAddress(address),
      addresses: node.addresses.map(parseIpAddress),
      podRanges: node.podRanges.map((text) => {
        const range = parseCidr(text);
        return { address: range.address, length: range.prefixLength };
      }),
    };
  });

/** Notes what other nodes say of ports. Returns the identities whose ports are others now. */
function takePorts({ nodeName, ports }: ClusterOptions, changes: ClusterChanges): number[] {
  const isOther = ({ name }: ClusterNode): boolean => name !== nodeName;
  return [
    ...changes.nodes.filter(isOther).flatMap(({ name, namedPorts }) => ports.set(`node ${name}`, new Map(namedPorts))),
    ...changes.deletedNodes.filter(isOther).flatMap(({ name }) => ports.delete(`node ${name}`)),
  ];
}

/** Brings the kernel in line with what has been told, in steps, and again where that fails. */
function createFollower(
  options: ClusterOptions,
  { others, own }: { readonly others: () => readonly ClusterNode[]; readonly own: () => readonly string[] },
) {
  const { nodeName: self, podRanges, ipcache, ports, nodeIdentities, controller, routes, clock, logger } = options;
  const toRanges = createClusterRanges({ self, podRanges, identityOf: nodeIdentities.numberOf });
  let pending: Pending = new Map();
  let areNodesPending = false;
  // Identities whose named ports have changed since.
  let portsPending = new Set<number>();
  let state: 'idle' | 'scheduled' | 'stopped' = 'idle';
  let behind: string | undefined;
  let last: Promise<void> = Promise.resolve();

  const write = async ({ ranges, areNodesDue, named }: Due): Promise<void> => {
    const rows = [...ranges.values()];
    const upserts = rows.flatMap(({ range, identity }) => (identity === undefined ? [] : [{ range, identity }]));
    const removals = rows.flatMap(({ range, identity }) => (identity === undefined ? [range] : []));
    await controller.commit({
      policy: { upsertIdentities: [...ports.known(named), ...nodeIdentities.takeNew()] },
      datapath: () => ({
        ...ipcache.change({ upsert: upserts, remove: removals }),
        ...(areNodesDue && options.isOverlay && { nodes: overlayNodes(others(), own()) }),
      }),
    });
    if (!areNodesDue) return;
    await routes.set(others());
    options.onNodesWritten();
  };
  const flush = async (): Promise<void> => {
    // What is told while this is written is for the next time.
    const due: Due = { ranges: pending, areNodesDue: areNodesPending, named: portsPending };
    pending = new Map();
    areNodesPending = false;
    portsPending = new Set();
    try {
      await write(due);
      behind = undefined;
    } catch (error) {
      logger.error({ error }, 'What other nodes have told is not in force');
      behind = WeirError.from(error).message;
      pending = new Map([...due.ranges, ...pending]);
      areNodesPending ||= due.areNodesDue;
      portsPending = new Set([...due.named, ...portsPending]);
      follow(retryDelayMs);
    }
  };
  const follow = (delayMs: number): void => {
    if (state !== 'idle') return;
    state = 'scheduled';
    clock.schedule(delayMs, () => {
      if (state === 'stopped') return;
      state = 'idle';
      last = last.then(flush);
    });
  };
  return {
    take(changes: ClusterChanges): void {
      addPending(pending, toRanges(changes));
      areNodesPending ||= changes.nodes.length + changes.deletedNodes.length > 0;
      for (const identity of takePorts(options, changes)) portsPending.add(identity);
    },
    follow,
    flush,
    get behind(): string | undefined {
      return behind;
    },
    stop(): Promise<void> {
      state = 'stopped';
      return last;
    },
  };
}

/** Makes the node's place in the cluster; `start` begins. */
export function createCluster(options: ClusterOptions): Cluster {
  const { nodeName, labels, addresses, routes, clock, logger } = options;
  let self: Omit<OwnAnnouncement, 'endpoints' | 'namedPorts'> = { addresses: [], podRanges: [] };
  let cancelPrune: CancelTimer | undefined;
  let isStarted = false;
  let stopListening = (): void => undefined;
  const others = (): ClusterNode[] => [...client.nodes.values()].filter(({ name }) => name !== nodeName);
  const follower = createFollower(options, { others, own: () => self.addresses });
  const client = createClusterClient({
    ...{ address: options.allocator, node: nodeName, log: logger, clock },
    ...(options.tls && { tls: options.tls }),
    cachePath: `${options.stateDir}/cluster.json`,
    own: () => ({ ...self, labels, namedPorts: namedPortsOf(options), endpoints: endpointsOf(options) }),
    onChange(changes) {
      options.onChange(changes);
      follower.take(changes);
      follower.follow(0);
      spread.changed();
    },
  });
  const spread = createSpread({ client, clock, logger });
  const announceAddresses = (): void => {
    describeSelf(options)
      .then((now) => {
        self = now;
        client.announce();
      })
      .catch((error: unknown) => logger.error({ error }, 'Addresses of this node could not be read'));
  };
  return {
    client,
    async load() {
      await client.load();
      takePorts(options, everything(client));
    },
    async start() {
      self = await describeSelf(options);
      await client.start();
      isStarted = true;
      follower.take(everything(client));
      await follower.flush();
      stopListening = addresses.onChange(announceAddresses);
      cancelPrune = clock.schedule(pruneDelayMs, () => {
        routes.prune().catch((error: unknown) => logger.warn({ error }, 'Old routes to other nodes stay'));
      });
    },
    get others() {
      return others();
    },
    renewNodes() {
      // Before, nothing of them is about to be written.
      if (!isStarted) return;
      follower.take({ nodes: others(), endpoints: [], deletedNodes: [], deletedEndpoints: [] });
      follower.follow(0);
    },
    get ownAddresses() {
      return self.addresses;
    },
    announce: client.announce,
    spread: spread.wait,
    get behind() {
      return follower.behind;
    },
    async stop() {
      stopListening();
      cancelPrune?.();
      await client.stop();
      await follower.stop();
    },
  };
}
