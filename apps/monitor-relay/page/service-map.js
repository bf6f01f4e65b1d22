// SPDX-License-Identifier: Apache-2.0
// Who talks to whom, counted out of flows.
import { whatOf } from './format.js';

const bucketMs = 5_000;
const bucketCount = 12;
const latenciesMax = 128;
const listMax = 12;
const connectionsMax = 8_192;
const idleMs = 10 * 60_000;

/** Over how long rates are taken. */
export const windowMs = bucketMs * bucketCount;

/** Counts things over the last minute. */
function createCounter() {
  const counts = new Array(bucketCount).fill(0);
  const epochs = new Array(bucketCount).fill(-1);
  return {
    add(nowMs) {
      const epoch = Math.floor(nowMs / bucketMs);
      const at = epoch % bucketCount;
      if (epochs[at] !== epoch) [epochs[at], counts[at]] = [epoch, 0];
      counts[at] += 1;
    },
    sum(nowMs) {
      const epoch = Math.floor(nowMs / bucketMs);
      return counts.reduce(
        (sum, count, at) => (epoch - epochs[at] < bucketCount && epochs[at] >= 0 ? sum + count : sum),
        0,
      );
    },
  };
}

/** Remembers what it has seen, a bounded number of things: those before the last so many are forgotten. */
function createSeen() {
  let [now, before] = [new Set(), new Set()];
  return (key) => {
    if (now.has(key) || before.has(key)) return true;
    if (now.size >= connectionsMax) [now, before] = [new Set(), now];
    now.add(key);
    return false;
  };
}

/** Keeps a few different values, the newest ones. */
function remember(list, value) {
  list.delete(value);
  list.add(value);
  if (list.size > listMax) list.delete(list.values().next().value);
}

const serviceKey = ({ namespace, service }) => `${namespace}\n${service}`;
const isDenied = ({ verdict }) => verdict === 'dropped' || verdict === 'error';

function createEdge(from, to) {
  return {
    ...{ key: `${from}\n\n${to}`, from, to, lastMs: 0, allowed: 0, denied: 0, latencies: [], latencyAt: 0 },
    ...{ ports: new Set(), policies: new Map(), reasons: new Set() },
    ...{ connections: createCounter(), calls: createCounter(), refusals: createCounter() },
  };
}

function percentile(sorted, share) {
  return sorted.length === 0 ? undefined : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function notePolicies(edge, policies) {
  for (const policy of policies) {
    const key = `${policy.kind} ${policy.namespace}/${policy.name} ${policy.isDenial}`;
    edge.policies.delete(key);
    edge.policies.set(key, policy);
    if (edge.policies.size > listMax) edge.policies.delete(edge.policies.keys().next().value);
  }
}

/** What one end is, for the map and its details. */
function noteNode(nodes, end, { atMs, order }) {
  const key = serviceKey(end);
  const node = nodes.get(key) ?? {
    ...{
      key,
      name: end.service,
      namespace: end.namespace,
      pods: new Set(),
      identities: new Set(),
      addresses: new Set(),
    },
    ...{ labels: [], order },
  };
  node.lastMs = atMs;
  if (end.pod !== '') remember(node.pods, end.pod);
  if (end.address !== '') remember(node.addresses, end.address);
  remember(node.identities, end.identity);
  if (end.labels.length > 0) node.labels = end.labels;
  // The one that was seen last is the last to go.
  nodes.delete(key);
  nodes.set(key, node);
  return key;
}

/** In an order that stays while they decide again and again. */
const policiesOf = ({ policies }) => [...policies].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, policy]) => policy);

function statisticsOf(edge, nowMs) {
  const sorted = edge.latencies.toSorted((a, b) => a - b);
  const perSecond = (counter) => counter.sum(nowMs) / (windowMs / 1_000);
  const [connections, calls, refusals] = [edge.connections, edge.calls, edge.refusals].map(perSecond);
  return {
    ...{ key: edge.key, from: edge.from, to: edge.to, lastMs: edge.lastMs, connections, calls, refusals },
    ...{ allowed: edge.allowed, denied: edge.denied, p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95) },
    ...{ ports: [...edge.ports], reasons: [...edge.reasons], policies: policiesOf(edge) },
    state: edge.denied === 0 ? 'allowed' : edge.allowed === 0 ? 'denied' : 'mixed',
    isQuiet: nowMs - edge.lastMs > windowMs,
  };
}

/**
 * Counts flows by who talks to whom. The client is where an edge begins, also when it is an answer that is seen. A connection
 * counts once, however often and by how many nodes it is reported. What has not been seen for ten minutes is forgotten, and
 * what was seen least recently, where there is no room.
 */
export function createServiceMap({ nodesMax, edgesMax }) {
  const nodes = new Map();
  const edges = new Map();
  let isSeen = createSeen();
  let order = 0;

  const edgeOf = (from, to) => {
    const key = `${from}\n\n${to}`;
    const edge = edges.get(key) ?? createEdge(from, to);
    edges.delete(key);
    edges.set(key, edge);
    return edge;
  };
  const dropOldest = (map, max) => {
    while (map.size > max) map.delete(map.keys().next().value);
  };
  const count = (edge, row, atMs) => {
    const { source, destination, call } = row;
    if (isDenied(row)) {
      edge.denied += 1;
      edge.refusals.add(atMs);
      return remember(edge.reasons, row.reason === '' ? whatOf(row) : row.reason);
    }
    edge.allowed += 1;
    if (call !== null && row.isReply) {
      edge.calls.add(atMs);
      edge.latencies[edge.latencyAt++ % latenciesMax] = call.ms;
    } else if (row.type.startsWith('policy-verdict') && !row.isReply) {
      const connection = [row.protocol, source.address, source.port, destination.address, destination.port].join(' ');
      if (!isSeen(connection)) edge.connections.add(atMs);
    }
  };

  return {
    add(row, atMs) {
      const [client, server] = row.isReply ? [row.destination, row.source] : [row.source, row.destination];
      const note = (end) => noteNode(nodes, end, { atMs, order: order++ });
      const edge = edgeOf(note(client), note(server));
      edge.lastMs = Math.max(edge.lastMs, atMs);
      if (server.port > 0) remember(edge.ports, `${server.port}/${row.protocol === 'HTTP' ? 'TCP' : row.protocol}`);
      notePolicies(edge, row.policies);
      count(edge, row, atMs);
      dropOldest(edges, edgesMax);
      dropOldest(nodes, nodesMax);
    },
    clear() {
      nodes.clear();
      edges.clear();
      isSeen = createSeen();
    },
    /** All that is known now, in an order that stays. */
    snapshot(nowMs) {
      for (const [key, { lastMs }] of edges) if (nowMs - lastMs > idleMs) edges.delete(key);
      for (const [key, { lastMs }] of nodes) if (nowMs - lastMs > idleMs) nodes.delete(key);
      const present = [...edges.values()].filter(({ from, to }) => nodes.has(from) && nodes.has(to));
      return {
        nodes: [...nodes.values()].toSorted((a, b) => a.order - b.order),
        edges: present.map((edge) => statisticsOf(edge, nowMs)),
      };
    },
  };
}
