// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { type ClusterPod, isSameClusterPod, type NamedPort } from '@weir/model';
import type { weir } from '@weir/proto';
import type { Cursor } from './identity-cache.ts';

/** Another node, or this one, as it has told of itself. Addresses and prefixes are text in canonical form. */
export interface ClusterNode {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podRanges: readonly string[];
  /** What policies select it by. Absent: nothing. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What its pods call their ports, by identity. Absent: nothing. */
  readonly namedPorts?: readonly (readonly [identity: number, ports: readonly NamedPort[]])[];
}

/** What is different from before. A row is upserted or deleted, not both. */
export interface ClusterChanges {
  readonly nodes: readonly ClusterNode[];
  readonly endpoints: readonly (readonly [address: string, pod: ClusterPod])[];
  readonly deletedNodes: readonly ClusterNode[];
  readonly deletedEndpoints: readonly string[];
}

/** What the directory has told so far. */
export interface ClusterView {
  readonly cursor: Cursor;
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  /** By address. */
  readonly endpoints: ReadonlyMap<string, ClusterPod>;
  /** Fills the view with what was on disk, without telling. */
  fill(
    cursor: Cursor,
    rows: { readonly nodes: readonly ClusterNode[]; readonly endpoints: Iterable<readonly [string, ClusterPod]> },
  ): void;
  /** Takes one message of the stream. */
  apply(response: weir.identity.v1.WatchClusterResponse): void;
  /** The stream broke: a snapshot that had begun is worth nothing. */
  interrupt(): void;
  close(): void;
}

export interface ClusterViewOptions {
  readonly clock: Clock;
  /** Told of every change, synchronously and in order. Must not throw. */
  readonly onChange: (changes: ClusterChanges) => void;
}

// A directory that has begun anew knows a node when the node has told again, which takes as long as its agent is away.
const relearnMs = 60_000;

/** Keys of rows. */
interface Keys {
  readonly nodes: Set<string>;
  readonly endpoints: Set<string>;
}

type Upserted = Pick<ClusterChanges, 'nodes' | 'endpoints'>;

const noKeys = (): Keys => ({ nodes: new Set(), endpoints: new Set() });

/** The rows themselves. */
function createRows() {
  const nodes = new Map<string, ClusterNode>();
  const endpoints = new Map<string, ClusterPod>();
  return {
    nodes,
    endpoints,
    /** Takes rows and returns those that are not what they were. */
    put(rows: Upserted): Upserted {
      const isNews = (node: ClusterNode): boolean => JSON.stringify(nodes.get(node.name)) !== JSON.stringify(node);
      const changed = {
        nodes: rows.nodes.filter(isNews),
        endpoints: rows.endpoints.filter(([address, pod]) => !isSameClusterPod(endpoints.get(address), pod)),
      };
      for (const node of changed.nodes) nodes.set(node.name, node);
      for (const [address, pod] of changed.endpoints) endpoints.set(address, pod);
      return changed;
    },
    /** Deletes rows and returns those that were there. */
    remove(keys: { readonly nodes: Iterable<string>; readonly endpoints: Iterable<string> }) {
      const deletedNodes = [...keys.nodes].flatMap((name) => nodes.get(name) ?? []);
      for (const { name } of deletedNodes) nodes.delete(name);
      return { deletedNodes, deletedEndpoints: [...keys.endpoints].filter((address) => endpoints.delete(address)) };
    },
    missingFrom: (seen: Keys): Keys => ({
      nodes: new Set([...nodes.keys()].filter((name) => !seen.nodes.has(name))),
      endpoints: new Set([...endpoints.keys()].filter((address) => !seen.endpoints.has(address))),
    }),
  };
}

const namedPortsOf = (all: readonly weir.identity.v1.IIdentityPorts[]): Required<ClusterNode>['namedPorts'] =>
  all.map(({ identity, ports }) => [
    identity ?? 0,
    (ports ?? []).map(({ name, protocol, port }) => ({ name: name ?? '', protocol: protocol ?? 0, port: port ?? 0 })),
  ]);

const sorted = (labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

const rowsOf = ({ nodes, endpoints }: weir.identity.v1.WatchClusterResponse): Upserted => ({
  nodes: nodes.map(({ name, addresses, podRanges, namedPorts, labels }) => ({
    name: name ?? '',
    addresses: addresses ?? [],
    podRanges: podRanges ?? [],
    ...(labels && Object.keys(labels).length > 0 && { labels: sorted(labels) }),
    ...(namedPorts?.length && { namedPorts: namedPortsOf(namedPorts) }),
  })),
  endpoints: endpoints.map(({ address, identity, namespace, pod }) => [
    address ?? '',
    { identity: identity ?? 0, namespace: namespace ?? '', pod: pod ?? '' },
  ]),
});

/** Makes an empty view. */
export function createClusterView({ clock, onChange }: ClusterViewOptions): ClusterView {
  const rows = createRows();
  let cursor: Cursor = { epoch: '', revision: 0 };
  let snapshot: { readonly seen: Keys; readonly isOtherHistory: boolean } | undefined;
  // What went missing with one snapshot of another history. Others that follow do not make it wait longer.
  const unconfirmed = new Map<Keys, CancelTimer>();

  const tell = (upserted: Upserted, gone: Parameters<typeof rows.remove>[0]): void => {
    const changes = { ...upserted, ...rows.remove(gone) };
    if (Object.values(changes).some((each) => each.length > 0)) onChange(changes);
  };
  const see = ({ nodes, endpoints }: Upserted): void => {
    for (const { name } of nodes) {
      snapshot?.seen.nodes.add(name);
      for (const keys of unconfirmed.keys()) keys.nodes.delete(name);
    }
    for (const [address] of endpoints) {
      snapshot?.seen.endpoints.add(address);
      for (const keys of unconfirmed.keys()) keys.endpoints.delete(address);
    }
  };
  /** What a whole snapshot did not name is gone; after another history, once everybody has had time to tell again. */
  const endSnapshot = (): Keys => {
    if (snapshot === undefined) return noKeys();
    const { seen, isOtherHistory } = snapshot;
    snapshot = undefined;
    if (!isOtherHistory) return rows.missingFrom(seen);
    const missing = rows.missingFrom(seen);
    for (const waiting of unconfirmed.keys()) {
      for (const name of waiting.nodes) missing.nodes.delete(name);
      for (const address of waiting.endpoints) missing.endpoints.delete(address);
    }
    const forget = (): void => {
      unconfirmed.delete(missing);
      tell({ nodes: [], endpoints: [] }, missing);
    };
    unconfirmed.set(missing, clock.schedule(relearnMs, forget));
    return noKeys();
  };

  return {
    get cursor() {
      return cursor;
    },
    nodes: rows.nodes,
    endpoints: rows.endpoints,
    fill(from, stored) {
      cursor = from;
      rows.put({ nodes: stored.nodes, endpoints: [...stored.endpoints] });
    },
    apply(response) {
      const { epoch, revision, deletedNodes, deletedEndpoints } = response;
      if (response.snapshot)
        snapshot = { seen: noKeys(), isOtherHistory: cursor.epoch !== '' && cursor.epoch !== epoch };
      const told = rowsOf(response);
      see(told);
      for (const name of deletedNodes) snapshot?.seen.nodes.delete(name);
      for (const address of deletedEndpoints) snapshot?.seen.endpoints.delete(address);
      const missing = response.synced ? endSnapshot() : noKeys();
      tell(rows.put(told), {
        nodes: [...deletedNodes, ...missing.nodes],
        endpoints: [...deletedEndpoints, ...missing.endpoints],
      });
      // In the middle of a snapshot only the former position is one to continue from.
      if (snapshot === undefined) cursor = { epoch, revision };
    },
    interrupt() {
      snapshot = undefined;
    },
    close() {
      for (const cancel of unconfirmed.values()) cancel();
    },
  };
}
