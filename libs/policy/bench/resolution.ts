// SPDX-License-Identifier: Apache-2.0
// How long the policy engine takes, and how much memory: run with `node --expose-gc libs/policy/bench/resolution.ts`.
// The best run is the one that the machine's other work disturbed least; the world is made from a fixed seed.
import { podLabels } from '@weir/model';
import {
  createPolicyEngine,
  type LabelledIdentity,
  parsePolicyFiles,
  type Policy,
  type PolicyEngine,
  type PolicyUpdate,
} from '../src/index.ts';

interface World {
  readonly name: string;
  readonly identities: number;
  readonly rules: number;
  readonly subjects: number;
  /** Whether every rule selects every subject of its namespace. */
  readonly broad?: boolean;
}

const worlds: World[] = [
  { name: 'issue 2', identities: 3_000, rules: 1_000, subjects: 100 },
  { name: 'issue 3', identities: 10_000, rules: 1_000, subjects: 100 },
  { name: 'one subject, all rules', identities: 3_000, rules: 1_000, subjects: 1, broad: true },
];

const namespaces = 20;
const apps = 50;

/** A small generator with a fixed seed (mulberry32): the same world every time. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function identity(index: number): LabelledIdentity {
  const labels = {
    app: `app${index % apps}`,
    tier: `tier${index % 4}`,
    version: `v${Math.floor(index / (apps * namespaces))}`,
    team: `team${index % 7}`,
    'app.kubernetes.io/name': `app${index % apps}`,
  };
  return {
    id: 256 + index,
    labels: podLabels({ namespace: namespaceOf(index), labels, serviceAccount: 'default' }).labels,
  };
}

const namespaceOf = (index: number): string => `ns${Math.floor(index / apps) % namespaces}`;

/** Most rules name two applications of their namespace; one in ten the whole namespace, one in twenty the cluster. */
function document(index: number, world: World, random: (below: number) => number): unknown {
  const peers = (): object => {
    const kind = world.broad === true ? 2 : random(20);
    if (kind === 0) return { fromEntities: ['cluster'] };
    if (kind <= 2 && world.broad !== true) return { fromEndpoints: [{}] };
    return { fromEndpoints: [0, 1].map(() => ({ matchLabels: { app: `app${random(apps)}` } })) };
  };
  const http = random(5) === 0 ? { rules: { http: [{ method: 'GET', path: `/v${index % 9}/.*` }] } } : {};
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `rule${index}`, namespace: world.broad === true ? 'ns0' : `ns${index % namespaces}` },
    spec: {
      endpointSelector: world.broad === true ? {} : { matchLabels: { app: `app${random(apps)}` } },
      ingress: [
        { ...peers(), toPorts: [{ ports: [{ port: String(8000 + random(20)), protocol: 'TCP' }], ...http }] },
        { ...peers(), toPorts: [{ ports: [{ port: String(9000 + random(20)), protocol: 'UDP' }] }] },
      ],
    },
  };
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

function summary(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const [best, p50, p99] = [0, 0.5, 0.99].map((share) => percentile(sorted, share).toFixed(3));
  return `best ${best}, p50 ${p50}, p99 ${p99} ms (n = ${times.length})`;
}

function timed<T>(run: () => T): { readonly value: T; readonly ms: number } {
  const start = performance.now();
  const value = run();
  return { value, ms: performance.now() - start };
}

function heapMb(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

const line = (what: string, figure: string): void => console.log(`  ${what.padEnd(44)} ${figure}`);

interface Material {
  readonly policies: readonly Policy[];
  readonly identities: readonly LabelledIdentity[];
  readonly subjects: readonly LabelledIdentity[];
}

function load({ policies, identities, subjects }: Material): PolicyEngine {
  const engine = createPolicyEngine();
  engine.apply({ upsertIdentities: identities });
  engine.apply({ upsertPolicies: policies });
  for (const subject of subjects) engine.apply({ upsertSubjects: [subject] });
  return engine;
}

/** Times an update and undoes it, over and over. */
function measure(
  engine: PolicyEngine,
  updates: readonly { readonly make: PolicyUpdate; readonly undo: PolicyUpdate }[],
): void {
  const made: number[] = [];
  const undone: number[] = [];
  let touched = 0;
  for (const { make, undo } of updates) {
    const { value, ms } = timed(() => engine.apply(make));
    made.push(ms);
    touched += value.subjects.reduce((sum, change) => sum + change.upserted.length + change.deleted.length, 0);
    undone.push(timed(() => engine.apply(undo)).ms);
  }
  line('  come', `${summary(made)}, ${(touched / updates.length).toFixed(1)} entries each`);
  line('  go', summary(undone));
}

function run(world: World): void {
  console.log(`${world.name}: ${world.rules} rules × ${world.identities} identities × ${world.subjects} subjects`);
  const random = createRandom(1);
  const text = Array.from({ length: world.rules }, (_, index) => JSON.stringify(document(index, world, random))).join(
    '\n---\n',
  );
  const parsed = timed(() => parsePolicyFiles([{ name: 'rules.yaml', content: text }]));
  if (parsed.value.problems.length > 0) console.log(parsed.value.problems[0]);
  const { policies } = parsed.value;
  const identities = Array.from({ length: world.identities }, (_, index) => identity(index));
  const step = Math.floor(world.identities / world.subjects);
  const material = {
    policies,
    identities,
    subjects: identities.filter((_, index) => index % step === 0).slice(0, world.subjects),
  };

  const before = heapMb();
  const full = Array.from({ length: 7 }, () => timed(() => load(material)).ms);
  const engine = load(material);
  line('heap of the engine', `${(heapMb() - before).toFixed(1)} MB`);
  line(`reading the rules (${(text.length / 1024).toFixed(0)} KB)`, `${parsed.ms.toFixed(0)} ms`);
  line('everything from nothing', summary(full));
  const entries = (): number =>
    material.subjects.reduce((sum, { id }) => sum + (engine.resolve(id)?.entries.length ?? 0), 0);
  const resolved = Array.from({ length: 9 }, () => timed(entries));
  line(`resolve() of all subjects, ${resolved[0]?.value} entries`, summary(resolved.map(({ ms }) => ms)));

  const news = Array.from({ length: 1000 }, (_, index) => identity(world.identities + index * 7));
  console.log('  one identity');
  measure(
    engine,
    news.map((come) => ({ make: { upsertIdentities: [come] }, undo: { deleteIdentities: [come.id] } })),
  );
  const more = Array.from({ length: 300 }, (_, index) => JSON.stringify(document(world.rules + index, world, random)));
  const newPolicies = more.flatMap((content) => parsePolicyFiles([{ name: 'new', content }]).policies);
  console.log('  one rule');
  measure(
    engine,
    newPolicies.map((policy) => ({ make: { upsertPolicies: [policy] }, undo: { deletePolicies: [policy.key] } })),
  );
}

for (const world of worlds) run(world);
