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
import { createChangeLog, type ChangeLog, type LogChanges } from './change-log.ts';

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
  /** Continue from here. */
  readonly position: number;
  /** Whoever has this and all before it can continue from here at any directory of the same epoch. */
  readonly revision: number;
  readonly complete: boolean;
}

/** How far in a log that several directories show. */
export interface SharedPosition {
  readonly epoch: string;
  readonly revision: number;
}

/**
 * The nodes of the cluster and their endpoints, in memory. A node is there from its first announcement until its lease has
 * run out; an address and a pod range belong to one node at a time. A directory counts its own changes, unless it shows what a
 * log says that others show, too: then the log's revisions are its revisions.
 */
export interface ClusterDirectory {
  /** The history that revisions count. */
  readonly epoch: string;
  readonly revision: number;
  /** Behind the newest change, as this directory counts. */
  readonly position: number;
  /** Where the last `restart` was: watchers from before begin anew. */
  readonly beginning: number;
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
  /** What is there is what a log says at this position; how it came to be is not known. Changes belong to the next revision now. */
  restart(at: SharedPosition): void;
  /** Changes belong to this revision from now on. */
  reach(revision: number): void;
  /** Where a watcher continues who knows everything up to a revision; undefined when only a snapshot can tell. */
  positionAfter(revision: number): number | undefined;
  /** 0 is before everything. Undefined when only a snapshot can tell. */
  changesAfter(position: number): DirectoryChanges | undefined;
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
export function createClusterDirectory({ leaseMs, clock, ...options }: ClusterDirectoryOptions): ClusterDirectory {
  const log = createChangeLog<Row>({ deletedMax });
  let { epoch } = options;
  const listeners = new Set<() => void>();
  const tell = (): void => listeners.forEach((listener) => listener());
  let isShared = false;
  // One's own revisions count what happened; those of a log were counted before it is shown.
  const { nodes, put, forget } = createNodes({ log, tell, nextRevision: () => log.revision + (isShared ? 0 : 1) });

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
    get epoch() {
      return epoch;
    },
    get revision() {
      return log.revision;
    },
    get position() {
      return log.position;
    },
    get beginning() {
      return log.beginning;
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
    restart(at) {
      ({ epoch } = at);
      isShared = true;
      log.restart(at.revision);
      tell();
    },
    reach: log.reach,
    positionAfter: log.positionAfter,
    changesAfter(position) {
      const changes = log.changesAfter(position, rowsPerMessageMax);
      return changes && toDirectoryChanges(changes);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

const toDirectoryChanges = ({ upserted, deleted, ...where }: LogChanges<Row>): DirectoryChanges => ({
  nodes: upserted.flatMap(([, row]) => ('node' in row ? [row.node] : [])),
  endpoints: upserted.flatMap(([key, row]) => ('pod' in row ? [[key, row.pod] as const] : [])),
  deletedNodes: deleted.filter((key) => key.startsWith(nodeKey)).map((key) => key.slice(nodeKey.length)),
  deletedEndpoints: deleted.filter((key) => !key.startsWith(nodeKey)),
  ...where,
});

interface NodesDeps {
  readonly log: ChangeLog<Row>;
  readonly tell: () => void;
  readonly nextRevision: () => number;
}

/** The nodes, and the rows that tell of them. */
function createNodes({ log, tell, nextRevision }: NodesDeps) {
  const nodes = new Map<string, { readonly announcement: Announcement; readonly expiresMs: number }>();
  const telling = (change: (revision: number) => void): void => {
    const before = log.position;
    change(nextRevision());
    if (log.position > before) tell();
  };
  const setEndpoints = (
    before: Announcement['endpoints'],
    after: Announcement['endpoints'],
    revision: number,
  ): void => {
    for (const address of before.keys()) if (!after.has(address)) log.delete(address, revision);
    for (const [address, pod] of after) {
      if (!isSameClusterPod(before.get(address), pod)) log.set(address, { pod }, revision);
    }
  };
  return {
    nodes,
    put(announcement: Announcement, expiresMs: number): void {
      const { name, endpoints, ...described } = announcement;
      const known = nodes.get(name)?.announcement;
      nodes.set(name, { announcement, expiresMs });
      telling((revision) => {
        // Where the pods are comes before who they are.
        if (!isSameNode(known, announcement)) log.set(nodeKey + name, { node: { name, ...described } }, revision);
        setEndpoints(known?.endpoints ?? new Map(), endpoints, revision);
      });
    },
    forget(name: string): void {
      const known = nodes.get(name)?.announcement;
      if (known === undefined) return;
      nodes.delete(name);
      telling((revision) => {
        setEndpoints(known.endpoints, new Map(), revision);
        log.delete(nodeKey + name, revision);
      });
    },
  };
}
