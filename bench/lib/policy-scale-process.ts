// SPDX-License-Identifier: Apache-2.0
// A process of its own that computes policy at scale and prints what it took, so that memory and the event loop are those
// of the engine alone. Arguments: rules that select somebody, and rules besides that select nobody; with an object of the
// programs and a directory, the same again until the maps of a datapath in the kernel are written, which is pinned there.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  createPolicyEngine,
  type LabelledIdentity,
  parsePolicyFiles,
  type Policy,
  type PolicyEngine,
  type PolicyUpdate,
} from '@weir/policy';
import { openPolicyKernel } from './policy-kernel.ts';
import { createRandom, makeIdentity, makePolicy } from './policy-world.ts';

/** What a run took; times in milliseconds. */
export interface PolicyScaleResult {
  readonly fullMs: number;
  readonly longestBlockMs: number;
  readonly entries: number;
  readonly identityAdded: Quantiles;
  readonly identityRemoved: Quantiles;
  readonly ruleAdded: Quantiles;
  readonly ruleRemoved: Quantiles;
  /** While identities and rules came and went, without the time that is asked for. */
  readonly loopDelayP99Ms: number;
  readonly residentMiB: number;
  /** Until the kernel has it, where that was asked for. */
  readonly inKernel?: Pick<PolicyScaleResult, 'identityAdded' | 'identityRemoved' | 'ruleAdded' | 'ruleRemoved'>;
}

/** Of many repetitions. */
export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

const identityCount = 10_000;
// The stride shares no factor with the numbers of applications and namespaces.
const subjects = Array.from({ length: 100 }, (_, index) => makeIdentity(index * 101));
const identityChanges = 2000;
const ruleChanges = 1000;

interface Wanted {
  readonly count: number;
  readonly from: number;
  readonly prefix?: string;
}

function parsePolicies({ count, from, prefix }: Wanted): Policy[] {
  const random = createRandom(from + 1);
  const documents = Array.from({ length: count }, (_, index) =>
    JSON.stringify(makePolicy(from + index, random, prefix)),
  );
  const policies: Policy[] = [];
  for (let first = 0; first < count; first += 500) {
    const content = documents.slice(first, first + 500).join('\n---\n');
    const parsed = parsePolicyFiles([{ name: 'rules.yaml', content }]);
    if (parsed.problems.length > 0) throw new TypeError(JSON.stringify(parsed.problems[0]));
    policies.push(...parsed.policies);
  }
  return policies;
}

/** Reads in a thread of its own, as the agent does, whose memory goes with it. */
async function readPolicies(wanted: Wanted): Promise<Policy[]> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: wanted,
    resourceLimits: { maxYoungGenerationSizeMb: 16 },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Policy[]>();
  worker.once('message', resolve);
  worker.once('error', reject);
  try {
    return await promise;
  } finally {
    await worker.terminate();
  }
}

type Apply = (update: PolicyUpdate) => unknown;

async function timed(apply: Apply, update: PolicyUpdate): Promise<number> {
  const start = performance.now();
  const applied = apply(update);
  if (applied instanceof Promise) await applied;
  return performance.now() - start;
}

function quantiles(times: readonly number[]): Quantiles {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Computes everything from nothing: identities, rules, and then one local endpoint after the other. */
async function computeAll(
  engine: PolicyEngine,
  policies: readonly Policy[],
): Promise<Pick<PolicyScaleResult, 'fullMs' | 'longestBlockMs' | 'entries'>> {
  const identities = Array.from({ length: identityCount }, (_, index) => makeIdentity(index));
  const times = [
    await timed(engine.apply, { upsertIdentities: identities }),
    await timed(engine.apply, { upsertPolicies: policies }),
  ];
  let entries = 0;
  for (const one of subjects) {
    const start = performance.now();
    engine.apply({ upsertSubjects: [one] });
    entries += engine.resolve(one.id)?.entries.length ?? 0;
    times.push(performance.now() - start);
  }
  return { fullMs: times.reduce((sum, time) => sum + time), longestBlockMs: Math.max(...times), entries };
}

type Change = Readonly<Record<'make' | 'undo', PolicyUpdate>>;

/** Makes changes and undoes them, each in a turn of the event loop of its own. */
async function churn(apply: Apply, changes: readonly Change[]): Promise<[Quantiles, Quantiles]> {
  const [made, undone]: [number[], number[]] = [[], []];
  for (const { make, undo } of changes) {
    made.push(await timed(apply, make));
    await setImmediate();
    undone.push(await timed(apply, undo));
    await setImmediate();
  }
  return [quantiles(made), quantiles(undone)];
}

/** Identities, and then rules, that come and go. */
async function churnAll(
  apply: Apply,
  { newcomers, rules }: { readonly newcomers: readonly LabelledIdentity[]; readonly rules: readonly Policy[] },
): Promise<NonNullable<PolicyScaleResult['inKernel']>> {
  const [identityAdded, identityRemoved] = await churn(
    apply,
    newcomers.map((one) => ({ make: { upsertIdentities: [one] }, undo: { deleteIdentities: [one.id] } })),
  );
  const [ruleAdded, ruleRemoved] = await churn(
    apply,
    rules.map((one) => ({ make: { upsertPolicies: [one] }, undo: { deletePolicies: [one.key] } })),
  );
  return { identityAdded, identityRemoved, ruleAdded, ruleRemoved };
}

async function main(): Promise<PolicyScaleResult> {
  const [selecting = 1000, others = 0] = process.argv.slice(2, 4).map(Number);
  const [objectPath, directory] = process.argv.slice(4);
  const policies = [
    ...(await readPolicies({ count: selecting, from: 0 })),
    ...(others > 0 ? await readPolicies({ count: others, from: selecting, prefix: 'other' }) : []),
  ];
  const rules = await readPolicies({ count: ruleChanges, from: selecting + others });
  const newcomers = Array.from({ length: identityChanges }, (_, index) => makeIdentity(identityCount + index * 7));
  const engine = createPolicyEngine({ defaultAllow: true, clusterPeer: { clusterName: 'default' } });
  const all = await computeAll(engine, policies);

  const delayResolutionMs = 1;
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  const changes = await churnAll(engine.apply, { newcomers, rules });
  delay.disable();
  const result = {
    ...{ ...all, ...changes },
    loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - delayResolutionMs),
    residentMiB: process.memoryUsage.rss() / 2 ** 20,
  };
  if (objectPath === undefined || directory === undefined) return result;
  const kernel = await openPolicyKernel({ engine, subjects: subjects.map(({ id }) => id), objectPath, directory });
  try {
    return { ...result, inKernel: await churnAll(kernel.apply, { newcomers, rules }) };
  } finally {
    await kernel.close();
  }
}

if (isMainThread) process.stdout.write(JSON.stringify(await main()));
else parentPort?.postMessage(parsePolicies(workerData as Wanted));
