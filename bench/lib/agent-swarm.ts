// SPDX-License-Identifier: Apache-2.0
// A process of its own that plays the agents of a cluster to an identity-allocator, each with its own connection and streams.
// Arguments: address of the allocator, nodes, pods a node, identities, seconds of churn. Prints a SwarmResult.
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterDirectoryDefinition, IdentityAllocatorDefinition, type weir } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { Reader } from 'protobufjs/minimal.js';

/** What a run took; times in milliseconds. */
export interface SwarmResult {
  /** From the first agent that connects until the last one has everything; all connect at once. */
  readonly joinMs: number;
  /** From a node's announcement of a changed pod to the message that tells an agent, over all changes and agents. */
  readonly propagationP50Ms: number;
  readonly propagationP99Ms: number;
  readonly changes: number;
  /** Wall-clock times between which pods were replaced. */
  readonly churnFromMs: number;
  readonly churnToMs: number;
}

const changesPerSecond = 100;
const callsAtOnce = 32;
const deadlineMs = 60_000;
const idMin = 256;

type Head = Pick<weir.identity.v1.WatchClusterResponse, 'revision' | 'synced'>;

const fieldRevision = 2;
const fieldSynced = 8;

/** Reads what an agent of the swarm needs; what the rows say is known. A thousand agents that read all would be the bench. */
function readHead(bytes: Buffer): Head {
  const reader = Reader.create(bytes);
  let [revision, synced] = [0, false];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === fieldRevision) revision = Number(reader.uint64());
    else if (tag >>> 3 === fieldSynced) synced = reader.bool();
    else reader.skipType(tag & 7);
  }
  return { revision, synced };
}

const headsOnly = {
  ...ClusterDirectoryDefinition,
  watchCluster: { ...ClusterDirectoryDefinition.watchCluster, responseDeserialize: readHead },
} as unknown as typeof ClusterDirectoryDefinition;

const [address = '', ...numbers] = process.argv.slice(2);
const [nodeCount = 0, podCount = 0, identityCount = 0, churnS = 0] = numbers.map(Number);

const nameOf = (node: number): string => `node-${node}`;
const prefixOf = (node: number): string => `10.${node >> 8}.${node & 255}`;

/** The pods of a node: number of the last byte of their addresses → number of the pod, which is also in its name. */
const pods = Array.from(
  { length: nodeCount },
  () => new Map(Array.from({ length: podCount }, (_, at) => [at + 2, at])),
);

function announcementOf(node: number): weir.identity.v1.AnnounceRequest.$Properties {
  const endpoints = [...(pods[node] ?? [])].flatMap(([at, pod]) => {
    const identity = idMin + ((node * podCount + pod) % identityCount);
    const names = { identity, namespace: 'default', pod: `pod-${node}-${pod}` };
    return [
      { address: `${prefixOf(node)}.${at}`, ...names },
      { address: `fd00:${(node + 1).toString(16)}::${at.toString(16)}`, ...names },
    ];
  });
  const podRanges = [`${prefixOf(node)}.0/24`, `fd00:${(node + 1).toString(16)}::/64`];
  return { node: { name: nameOf(node), addresses: [`172.16.${node >> 8}.${node & 255}`], podRanges }, endpoints };
}

async function inParallel(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: callsAtOnce }, worker));
}

/** Messages as they came: revision and time. */
interface Agent {
  readonly revisions: number[];
  readonly times: number[];
  readonly synced: Promise<void>;
}

const abort = new AbortController();
const options = { signal: abort.signal };

function startAgent(node: number): Agent {
  const client = createRpcClient(headsOnly, { address });
  const identities = createRpcClient(IdentityAllocatorDefinition, { address });
  const [revisions, times]: [number[], number[]] = [[], []];
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const readIdentities = async (): Promise<void> => {
    for await (const response of identities.watch({ node: nameOf(node) }, options)) void response;
  };
  const read = async (): Promise<void> => {
    for await (const { revision, synced } of client.watchCluster({ node: nameOf(node) }, options)) {
      revisions.push(revision);
      times.push(performance.now());
      if (synced) resolve(undefined);
    }
  };
  const fail = (error: unknown): void => {
    if (abort.signal.aborted) return;
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  };
  read().catch(fail);
  readIdentities().catch(fail);
  return { revisions, times, synced: promise };
}

/** Notes with which revision a pod came to be known. */
async function watchPods(client: RpcClient<typeof ClusterDirectoryDefinition>, seen: Map<string, number>) {
  for await (const { revision, endpoints } of client.watchCluster({ node: 'reader' }, options)) {
    for (const { pod } of endpoints) if (pod && !seen.has(pod)) seen.set(pod, revision);
  }
}

/** The first message at or behind a revision. */
function firstTime({ revisions, times }: Agent, revision: number): number | undefined {
  let [low, high] = [0, revisions.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((revisions[middle] ?? 0) >= revision) high = middle;
    else low = middle + 1;
  }
  return times[low];
}

async function churn(client: RpcClient<typeof ClusterDirectoryDefinition>): Promise<Map<string, number>> {
  const announcedMs = new Map<string, number>();
  const calls: Promise<unknown>[] = [];
  const beganMs = performance.now();
  for (let change = 0; change < churnS * changesPerSecond; change += 1) {
    const node = (change * 7919) % nodeCount;
    const pod = podCount + change;
    const its = pods[node] as Map<number, number>;
    const [oldest = 2] = its.keys();
    its.delete(oldest);
    its.set(oldest, pod);
    announcedMs.set(`pod-${node}-${pod}`, performance.now());
    calls.push(client.announce(announcementOf(node), { deadlineMs }));
    await sleep(Math.max(0, beganMs + ((change + 1) * 1_000) / changesPerSecond - performance.now()));
  }
  await Promise.all(calls);
  return announcedMs;
}

async function run(): Promise<SwarmResult> {
  const client = createRpcClient(ClusterDirectoryDefinition, { address });
  const allocator = createRpcClient(IdentityAllocatorDefinition, { address });
  await inParallel(identityCount, (index) => {
    const labels = [`k8s:app=app-${index}`, 'k8s:io.kubernetes.pod.namespace=default'];
    return allocator.allocate({ node: nameOf(index % nodeCount), labels }, { deadlineMs });
  });
  await inParallel(nodeCount, (node) => client.announce(announcementOf(node), { deadlineMs }));

  const beganMs = performance.now();
  const agents = Array.from({ length: nodeCount }, (_, node) => startAgent(node));
  await Promise.all(agents.map(({ synced }) => synced));
  const joinMs = performance.now() - beganMs;

  const seen = new Map<string, number>();
  watchPods(client, seen).catch(() => undefined);
  await sleep(1_000);
  const churnFromMs = Date.now();
  const announcedMs = await churn(client);
  const churnToMs = Date.now();
  // What was announced last is on its way.
  await sleep(2_000);
  abort.abort();
  const latencies = [...announcedMs].flatMap(([pod, fromMs]) => {
    const revision = seen.get(pod);
    if (revision === undefined) throw new TypeError(`${pod} was never told`);
    return agents.map((agent) => (firstTime(agent, revision) ?? Infinity) - fromMs);
  });
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  const quantiles = { propagationP50Ms: at(0.5), propagationP99Ms: at(0.99) };
  return { joinMs, ...quantiles, changes: announcedMs.size, churnFromMs, churnToMs };
}

process.stdout.write(`${JSON.stringify(await run())}\n`);
process.exit(0);
