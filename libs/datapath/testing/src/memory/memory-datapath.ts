// SPDX-License-Identifier: Apache-2.0
import type {
  Connection,
  Datapath,
  DatapathChange,
  DatapathEndpoint,
  DatapathHost,
  DatapathNode,
  EventBatch,
  EventLoss,
  IpcacheMapEntry,
  MapUse,
  PolicyContent,
  PolicyMapEntry,
  PolicyMapKey,
  PolicyPatch,
  RuleTraffic,
  TrafficCount,
} from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { createMemoryMasquerade, type MemoryMasquerade } from './memory-masquerade.ts';
import { createMemoryServices, type MemoryServices } from './memory-services.ts';

/** Limits of the maps, in entries. */
export interface MemoryLimits {
  readonly policyEntriesMax?: number;
  readonly endpointsMax?: number;
  readonly ipcacheEntriesMax?: number;
}

/**
 * A datapath in memory: it keeps what it is told as the kernel would, with the same contract for full maps and for changes
 * that change nothing. It outlives the agent that uses it: give it to the next one, and that is a restart.
 */
export interface MemoryDatapath extends Datapath {
  readonly services: MemoryServices;
  readonly masquerade: MemoryMasquerade;
  /** Grows by one with every change that changed something. */
  readonly revision: number;
  /** Pod programs: endpoint id → interface index. */
  readonly attached: ReadonlyMap<number, number>;
  /** What `attachNode` was last called with. */
  readonly node: Parameters<Datapath['attachNode']>[0] | undefined;
  readonly closed: boolean;
  /** As it was last told. */
  readonly host: DatapathHost | undefined;
  policy(slot: number): PolicyContent | undefined;
  ipcache(): readonly IpcacheMapEntry[];
  /** Hands events to whoever reads them. */
  emit(batch: EventBatch): void;
  setConnections(connections: readonly Connection[]): void;
  setTraffic(traffic: readonly TrafficCount[]): void;
  setRuleTraffic(traffic: readonly RuleTraffic[]): void;
  setEventLoss(loss: EventLoss): void;
  /** Changes limits from now on: what has no room any more stays. */
  limit(limits: MemoryLimits): void;
}

interface Policy {
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
  readonly ingressDefaultAllow: boolean;
  readonly egressDefaultAllow: boolean;
  readonly entries: ReadonlyMap<string, PolicyMapEntry>;
}

interface Tables {
  readonly policies: Map<number, Policy>;
  readonly endpoints: Map<number, DatapathEndpoint>;
  readonly ipcache: Map<string, IpcacheMapEntry>;
  readonly nodes: readonly DatapathNode[];
  readonly host: DatapathHost | undefined;
}

const keyOf = ({ direction, peerIdentity, protocol, port, portPrefixLength }: PolicyMapKey): string =>
  `${direction}/${peerIdentity}/${protocol}/${port}/${portPrefixLength ?? (port === 0 ? 0 : 16)}`;
const rangeName = ({ address, length }: Omit<IpcacheMapEntry, 'identity'>): string => `${address.join('.')}/${length}`;

const policyOf = ({ entries, ...flags }: PolicyContent): Policy => ({
  ingressDefaultAllow: false,
  egressDefaultAllow: false,
  ...flags,
  entries: new Map(entries.map((entry) => [keyOf(entry), entry])),
});

function patched(before: Policy | undefined, { added, removed }: PolicyPatch): Policy {
  const entries = new Map(before?.entries);
  for (const entry of removed) entries.delete(keyOf(entry));
  for (const entry of added) entries.set(keyOf(entry), entry);
  return { ...(before ?? noPolicy), entries };
}

const noPolicy: Policy = {
  ...{ ingressEnforced: false, egressEnforced: false, ingressDefaultAllow: false, egressDefaultAllow: false },
  entries: new Map(),
};

const isSame = (a: Policy, b: Policy): boolean =>
  a.ingressEnforced === b.ingressEnforced &&
  a.egressEnforced === b.egressEnforced &&
  a.ingressDefaultAllow === b.ingressDefaultAllow &&
  a.egressDefaultAllow === b.egressDefaultAllow &&
  JSON.stringify([...a.entries].sort()) === JSON.stringify([...b.entries].sort());

const copyOf = ({ policies, endpoints, ipcache, nodes, host }: Tables): Tables => ({
  ...{ nodes, host },
  policies: new Map(policies),
  endpoints: new Map(endpoints),
  ipcache: new Map(ipcache),
});

/** What the tables are after a change. */
function changed(before: Tables, change: DatapathChange): Tables {
  const after = copyOf(before);
  for (const [slot, content] of change.policies ?? []) {
    if (!isSame(after.policies.get(slot) ?? noPolicy, policyOf(content))) after.policies.set(slot, policyOf(content));
  }
  for (const [slot, patch] of change.policyPatches ?? []) {
    const next = patched(after.policies.get(slot), patch);
    if (!isSame(after.policies.get(slot) ?? noPolicy, next)) after.policies.set(slot, next);
  }
  for (const endpoint of change.endpoints ?? []) after.endpoints.set(endpoint.ifindex, endpoint);
  for (const entry of change.ipcache ?? []) after.ipcache.set(rangeName(entry), entry);
  for (const { ifindex, id } of change.endpointsRemoved ?? []) {
    if (after.endpoints.get(ifindex)?.id === id) after.endpoints.delete(ifindex);
  }
  for (const range of change.ipcacheRemoved ?? []) after.ipcache.delete(rangeName(range));
  for (const slot of change.policiesRemoved ?? []) after.policies.delete(slot);
  return { ...after, nodes: change.nodes ?? after.nodes, host: change.host ?? after.host };
}

const fingerprint = ({ policies, endpoints, ipcache, nodes, host }: Tables): string =>
  JSON.stringify([
    [...policies].map(([slot, { entries, ...enforced }]) => [slot, enforced, [...entries].sort()]).sort(),
    [...endpoints].sort(),
    [...ipcache].sort(),
    ...[nodes, host],
  ]);

function usesOf(tables: Tables, limits: MemoryLimits): readonly MapUse[] {
  const { policyEntriesMax = 262_144, endpointsMax = 4_096, ipcacheEntriesMax = 524_288 } = limits;
  const policyEntries = [...tables.policies.values()].reduce((sum, { entries }) => sum + entries.size, 0);
  return [
    { map: 'policy', entries: policyEntries, entriesMax: policyEntriesMax },
    { map: 'interfaces', entries: tables.endpoints.size, entriesMax: endpointsMax },
    { map: 'ipcache', entries: tables.ipcache.size, entriesMax: ipcacheEntriesMax },
  ];
}

function checkRoom(tables: Tables, limits: MemoryLimits): void {
  for (const { map, entries, entriesMax } of usesOf(tables, limits)) {
    if (entries <= entriesMax) continue;
    throw new WeirError('RESOURCE_EXHAUSTED', `The map "${map}" has no room (it holds at most ${entriesMax})`);
  }
}

/** Makes an empty one. */
export function createMemoryDatapath(initialLimits: MemoryLimits = {}): MemoryDatapath {
  let tables: Tables = { policies: new Map(), endpoints: new Map(), ipcache: new Map(), nodes: [], host: undefined };
  let limits = initialLimits;
  let revision = 0;
  let node: MemoryDatapath['node'];
  let closed = false;
  let loss: EventLoss = { rateLimited: 0, ringFull: 0 };
  let connections: readonly Connection[] = [];
  let traffic: readonly TrafficCount[] = [];
  let ruleTraffic: readonly RuleTraffic[] = [];
  const attached = new Map<number, number>();
  const readers = new Set<(batch: EventBatch) => void>();

  const contentOf = (policy: Policy | undefined): PolicyContent | undefined =>
    policy === undefined ? undefined : { ...policy, entries: [...policy.entries.values()] };

  return {
    services: createMemoryServices(),
    masquerade: createMemoryMasquerade(),
    get revision() {
      return revision;
    },
    get node() {
      return node;
    },
    get host() {
      return tables.host;
    },
    get closed() {
      return closed;
    },
    attached,
    policy: (slot) => contentOf(tables.policies.get(slot)),
    ipcache: () => [...tables.ipcache.values()],
    emit: (batch) => readers.forEach((read) => read(batch)),
    setConnections: (given) => (connections = given),
    setTraffic: (given) => (traffic = given),
    setRuleTraffic: (given) => (ruleTraffic = given),
    setEventLoss: (given) => (loss = given),
    limit: (given) => (limits = given),
    async apply(change) {
      const after = changed(tables, change);
      checkRoom(after, limits);
      if (fingerprint(after) !== fingerprint(tables)) revision += 1;
      tables = after;
    },
    attachNode: (given) => (node = given),
    attachEndpoint: ({ id, ifindex }) => void attached.set(id, ifindex),
    detachEndpoint: ({ id }) => void attached.delete(id),
    retainEndpoints(ids) {
      for (const id of [...attached.keys()]) if (!ids.has(id)) attached.delete(id);
    },
    listEndpoints: () => [...tables.endpoints.values()],
    listPolicySlots: () => [...tables.policies.keys()],
    listPolicy: (slot) => contentOf(tables.policies.get(slot))?.entries ?? [],
    hostPolicySlot() {
      const slot = tables.host?.policySlot;
      const policy = tables.policies.get(slot ?? 0);
      return policy?.ingressEnforced === true || policy?.egressEnforced === true ? slot : undefined;
    },
    listNodes: () => tables.nodes,
    listIpcache: async () => [...tables.ipcache.values()],
    async *listConnections() {
      yield connections;
    },
    listTraffic: () => traffic,
    listRuleTraffic: () => ruleTraffic,
    mapUse: () => usesOf(tables, limits),
    eventLoss: () => loss,
    sweepConnections: async () => ({ seen: connections.length, deleted: 0 }),
    readEvents(onBatch) {
      readers.add(onBatch);
      return () => void readers.delete(onBatch);
    },
    async close() {
      closed = true;
    },
  };
}
