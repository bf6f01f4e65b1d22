// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import {
  type Cidr,
  cidrContainsCidr,
  type ClusterPod,
  formatCidr,
  formatNamedPort,
  isSameClusterPod,
  type NamedPort,
} from '@weir/model';
import { createChangeLog, type ChangeLog } from './change-log.ts';

/** All that a node tells of itself. Addresses are text in canonical form. */
export interface Announcement {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podRanges: readonly Cidr[];
  /** What policies select it by. */
  readonly labels: Readonly<Record<string, string>>;
  /** What its pods call their ports, by identity, ascending. */
  readonly namedPorts: readonly (readonly [identity: number, ports: readonly NamedPort[]])[];
  /** By address; each lies in one of the pod ranges. */
  readonly endpoints: ReadonlyMap<string, ClusterPod>;
}

/** What of a node the others are told. */
export type DirectoryNode = Omit<Announcement, 'endpoints'>;

/** What came after some revision. */
export interface DirectoryChanges {
  readonly nodes: readonly DirectoryNode[];
  readonly endpoints: readonly (readonly [address: string, pod: ClusterPod])[];
  readonly deletedNodes: readonly string[];
  readonly deletedEndpoints: readonly string[];
  readonly revision: number;
  readonly complete: boolean;
}

/**
 * The nodes of the cluster and their endpoints, in memory. A node is there from its first announcement until its lease has
 * run out; an address and a pod range belong to one node at a time.
 */
export interface ClusterDirectory {
  /** The history that revisions count. */
  readonly epoch: string;
  readonly revision: number;
  readonly nodeCount: number;
  /** Replaces what the node has told before. ALREADY_EXISTS, RESOURCE_EXHAUSTED: nothing has changed. */
  announce(announcement: Announcement): void;
  /** Forgets nodes whose lease has run out, and returns their names. */
  expire(): readonly string[];
  get(name: string): Announcement | undefined;
  all(): Iterable<Announcement>;
  /** Why an announcement cannot be taken, also beside `others` that are about to be taken: ALREADY_EXISTS, RESOURCE_EXHAUSTED. */
  refuse(announcement: Announcement, others: readonly Announcement[]): void;
  /** Takes what was found right elsewhere, for as long as nobody says `forget`. */
  put(announcement: Announcement): void;
  forget(name: string): void;
  /** Undefined when only a snapshot can tell: begin with revision 0. */
  changesAfter(revision: number): DirectoryChanges | undefined;
  /** Calls `listener` after changes. The result stops it. */
  onChange(listener: () => void): () => void;
}

export interface ClusterDirectoryOptions {
  readonly epoch: string;
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** What any directory holds at most. */
export const directoryLimits = {
  nodesMax: 10_000,
  endpointsPerNodeMax: 8_192,
  addressesPerNodeMax: 64,
  namedPortsPerNodeMax: 8_192,
  labelsPerNodeMax: 256,
} as const;

const deletedMax = 65_536;
const rowsPerMessageMax = 1_000;
const nodeKey = 'node ';

type Row = { readonly node: DirectoryNode } | { readonly pod: ClusterPod };

const overlap = (a: Cidr, b: Cidr): boolean =>
  cidrContainsCidr({ outer: a, inner: b }) || cidrContainsCidr({ outer: b, inner: a });

const isSamePlace = (a: DirectoryNode | undefined, b: DirectoryNode): boolean =>
  a?.addresses.join() === b.addresses.join() &&
  a.podRanges.map(formatCidr).join() === b.podRanges.map(formatCidr).join();

const portsKey = ({ namedPorts }: DirectoryNode): string =>
  namedPorts.map(([identity, ports]) => `${identity}:${ports.map(formatNamedPort).join()}`).join(';');

const labelsKey = ({ labels }: DirectoryNode): string => JSON.stringify(Object.entries(labels).sort());

/** Whether others are to be told nothing new of a node. */
export const isSameNode = (a: DirectoryNode | undefined, b: DirectoryNode): boolean =>
  a !== undefined && isSamePlace(a, b) && portsKey(a) === portsKey(b) && labelsKey(a) === labelsKey(b);

/** What belongs to one node is not another one's. */
function refuseConflict(wanted: Announcement, others: Iterable<Announcement>): void {
  for (const other of others) {
    if (other.name === wanted.name) continue;
    const address = wanted.addresses.find((each) => other.addresses.includes(each));
    const range = wanted.podRanges.find((each) => other.podRanges.some((theirs) => overlap(each, theirs)));
    const what = address ?? (range && formatCidr(range));
    if (what === undefined) continue;
    throw new WeirError('ALREADY_EXISTS', `node: ${what} belongs to the node "${other.name}"`);
  }
}

/** Makes an empty directory. */
export function createClusterDirectory({ epoch, leaseMs, clock }: ClusterDirectoryOptions): ClusterDirectory {
  const log = createChangeLog<Row>({ deletedMax });
  const listeners = new Set<() => void>();
  const { nodes, put, forget } = createNodes(log, () => listeners.forEach((listener) => listener()));

  function* announcements(): Generator<Announcement> {
    for (const { announcement } of nodes.values()) yield announcement;
  }
  const refuse = (announcement: Announcement, others: readonly Announcement[]): void => {
    const { name } = announcement;
    const count = nodes.size + others.filter((other) => !nodes.has(other.name)).length;
    if (!nodes.has(name) && count >= directoryLimits.nodesMax) {
      throw new WeirError('RESOURCE_EXHAUSTED', `Node "${name}" is one too many: there are ${count} nodes`);
    }
    if (isSamePlace(nodes.get(name)?.announcement, announcement)) return;
    refuseConflict(announcement, [...announcements(), ...others]);
  };

  return {
    epoch,
    get revision() {
      return log.revision;
    },
    get nodeCount() {
      return nodes.size;
    },
    announce(announcement) {
      refuse(announcement, []);
      put(announcement, clock.monotonicMs() + leaseMs);
    },
    expire() {
      const due = [...nodes].filter(([, { expiresMs }]) => expiresMs <= clock.monotonicMs()).map(([name]) => name);
      due.forEach(forget);
      return due;
    },
    get: (name) => nodes.get(name)?.announcement,
    all: announcements,
    refuse,
    put: (announcement) => put(announcement, Infinity),
    forget,
    changesAfter(revision) {
      const changes = log.changesAfter(revision, rowsPerMessageMax);
      if (changes === undefined) return undefined;
      const { upserted, deleted } = changes;
      return {
        nodes: upserted.flatMap(([, row]) => ('node' in row ? [row.node] : [])),
        endpoints: upserted.flatMap(([key, row]) => ('pod' in row ? [[key, row.pod] as const] : [])),
        deletedNodes: deleted.filter((key) => key.startsWith(nodeKey)).map((key) => key.slice(nodeKey.length)),
        deletedEndpoints: deleted.filter((key) => !key.startsWith(nodeKey)),
        revision: changes.revision,
        complete: changes.complete,
      };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** The nodes, and the rows that tell of them. */
function createNodes(log: ChangeLog<Row>, onChange: () => void) {
  const nodes = new Map<string, { readonly announcement: Announcement; readonly expiresMs: number }>();
  const setEndpoints = (before: Announcement['endpoints'], after: Announcement['endpoints']): void => {
    for (const address of before.keys()) if (!after.has(address)) log.delete(address);
    for (const [address, pod] of after) if (!isSameClusterPod(before.get(address), pod)) log.set(address, { pod });
  };
  const telling = (change: () => void): void => {
    const before = log.revision;
    change();
    if (log.revision > before) onChange();
  };
  return {
    nodes,
    put(announcement: Announcement, expiresMs: number): void {
      const { name, endpoints, ...described } = announcement;
      const known = nodes.get(name)?.announcement;
      nodes.set(name, { announcement, expiresMs });
      telling(() => {
        // Where the pods are comes before who they are.
        if (!isSameNode(known, announcement)) log.set(nodeKey + name, { node: { name, ...described } });
        setEndpoints(known?.endpoints ?? new Map(), endpoints);
      });
    },
    forget(name: string): void {
      const known = nodes.get(name)?.announcement;
      if (known === undefined) return;
      nodes.delete(name);
      telling(() => {
        setEndpoints(known.endpoints, new Map());
        log.delete(nodeKey + name);
      });
    },
  };
}
