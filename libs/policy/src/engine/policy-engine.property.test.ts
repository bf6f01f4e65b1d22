// SPDX-License-Identifier: Apache-2.0
// The engine is held to a naive evaluator that was written from the language's reference alone, through what the kernel
// would do with the entries; and what it reports of changes is held to what it resolves from nothing.
import fc from 'fast-check';
import { directions, parseLabelSet, reservedIdentities, formatLabelSet } from '@weir/model';
import { formatProblem } from '../problem.ts';
import { parsePolicyFiles } from '../parse-policy-files.ts';
import type { PolicyEntry, PolicyEntryKey, ResolvedPolicy, RuleSet } from '../policy-entry.ts';
import type { Policy } from '../rule.ts';
import { arbitraryDocuments, arbitraryPod } from '../testing/arbitrary-policy.ts';
import { type KernelVerdict, keyText, lookUpAsKernel, type PolicyMap } from '../testing/kernel-look-up.ts';
import { evaluateNaively, type NaiveDocument, type NaiveRequest } from '../testing/naive-evaluator.ts';
import type { EnforcementMode } from './direction-policy.ts';
import type { LabelledIdentity, PolicyEngine, PolicyUpdate, SubjectChange } from './engine-types.ts';
import { createPolicyEngine } from './policy-engine.ts';

const requests: NaiveRequest[] = ['GET', 'PUT', 'POST'].flatMap((method) =>
  ['/a', '/a/b', '/b', '/c'].flatMap((path) => ['h', 'other'].map((host) => ({ method, path, host }))),
);

const passesRuleSet = ({ http }: RuleSet, request: NaiveRequest): boolean =>
  http.length === 0 ||
  http.some((rule) =>
    (['method', 'path', 'host'] as const).every((part) => {
      const pattern = rule[part];
      return pattern === undefined || new RegExp(`^(?:${pattern})$`).test(request[part]);
    }),
  );

function parse(documents: readonly NaiveDocument[]): Policy[] {
  const files = documents.map((document, index) => ({ name: `${index}.json`, content: JSON.stringify(document) }));
  const { policies, problems } = parsePolicyFiles(files);
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join('\n'));
  return [...policies];
}

/** Pods get numbers from 256 on; pods with equal labels are one identity. */
function identitiesOf(pods: readonly string[][]): LabelledIdentity[] {
  const sets = new Map(pods.map((pod) => parseLabelSet(pod)).map((set) => [set.key, set]));
  return [...sets.values()].map((labels, index) => ({ id: 256 + index, labels }));
}

const mapOf = (entries: readonly PolicyEntry[]): PolicyMap => new Map(entries.map((entry) => [keyText(entry), entry]));

/** A subject's policy as the kernel has it. */
type Realised = Pick<ResolvedPolicy, 'ingressEnforced' | 'egressEnforced'> & { readonly map: PolicyMap };

function realise(engine: PolicyEngine, subject: number): Realised {
  const { entries, ...enforced } = engine.resolve(subject)!;
  return { ...enforced, map: mapOf(entries) };
}

function lookUp({ map, ingressEnforced, egressEnforced }: Realised, flow: PolicyEntryKey): KernelVerdict {
  const isEnforced = flow.direction === 'ingress' ? ingressEnforced : egressEnforced;
  return isEnforced ? lookUpAsKernel(map, flow) : { verdict: 'allowed' };
}

const decisionNames = {
  allow: 'allowed',
  'not-enforced': 'allowed',
  deny: 'dropped',
  'no-match': 'dropped',
  redirect: 'redirected',
};

/** Jest's matchers cost more than the engine; a flow at a time they would take minutes. */
function same(actual: unknown, expected: unknown, context: () => unknown): void {
  if (actual !== expected)
    throw new Error(`${String(actual)} instead of ${String(expected)}: ${JSON.stringify(context())}`);
}

const flowKinds = [
  { protocol: 6, port: 80 },
  { protocol: 6, port: 443 },
  { protocol: 6, port: 8080 },
  { protocol: 17, port: 53 },
  { protocol: 17, port: 80 },
  { protocol: 132, port: 80 },
  { protocol: 1, port: 8 },
];

interface World {
  readonly documents: readonly NaiveDocument[];
  readonly mode: EnforcementMode;
  readonly engine: PolicyEngine;
  readonly seen: { allowed: number; dropped: number; http: number; flows: number };
}

function compare(world: World, ends: { subject: LabelledIdentity; peer: LabelledIdentity; policy: Realised }): void {
  const { documents, mode, engine, seen } = world;
  const { subject, peer, policy } = ends;
  const labels = { subject: formatLabelSet(subject.labels), peer: formatLabelSet(peer.labels) };
  for (const kind of flowKinds) {
    for (const direction of directions) {
      const flow = { ...kind, subject: subject.id, direction, peerIdentity: peer.id };
      const expected = evaluateNaively(documents, { ...kind, ...labels, direction }, mode);
      const actual = lookUp(policy, flow);
      seen.flows++;
      seen[expected.verdict]++;
      same(actual.verdict, expected.verdict === 'http' ? 'redirected' : expected.verdict, () => flow);
      same(decisionNames[engine.decide(flow).verdict], actual.verdict, () => flow);
      if (expected.verdict !== 'http') continue;
      for (const request of requests) {
        const passes = passesRuleSet(actual.ruleSet!, request);
        same(passes, expected.passes(request), () => ({ flow, request, ruleSet: actual.ruleSet }));
      }
    }
  }
}

describe('createPolicyEngine() over random policies, pods and flows', () => {
  it('lets through what the reference lets through, and nothing else', () => {
    const seen = { allowed: 0, dropped: 0, http: 0, flows: 0 };
    const reserved = [...reservedIdentities].slice(0, 7).map(([id, labels]) => ({ id, labels }));
    const property = fc.property(
      arbitraryDocuments,
      fc.array(arbitraryPod, { minLength: 2, maxLength: 4 }),
      fc.constantFrom<EnforcementMode>('default', 'default', 'default', 'default', 'always', 'never'),
      (documents, pods, mode) => {
        const identities = identitiesOf(pods);
        const engine = createPolicyEngine({ mode });
        const subjects = [...identities.slice(0, 2), { id: 5, labels: reservedIdentities.get(5)! }];
        engine.apply({ upsertPolicies: parse(documents), upsertIdentities: identities, upsertSubjects: subjects });
        for (const subject of subjects) {
          const policy = realise(engine, subject.id);
          for (const peer of [...identities, ...reserved]) {
            compare({ documents, mode, engine, seen }, { subject, peer, policy });
          }
        }
      },
    );
    fc.assert(property, { numRuns: 120 });
    // A world in which nothing ever passes, or everything does, would prove nothing.
    expect(seen.flows).toBeGreaterThan(20_000);
    for (const count of [seen.allowed, seen.dropped, seen.http]) expect(count / seen.flows).toBeGreaterThan(0.01);
  });
});

/** One step of an engine's life. */
interface Step {
  readonly policies: readonly number[];
  readonly identities: readonly number[];
  readonly subjects: readonly number[];
}

const subset = fc.array(fc.nat(7), { maxLength: 4 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ policies: subset, identities: subset, subjects: subset }),
    fc.record({ policies: fc.constant([]), identities: subset, subjects: fc.constant([]) }),
  ),
  { minLength: 2, maxLength: 8 },
);

/** Applies the step to the engine: what is there of the things it names goes, and what is not comes. */
function toggle(things: { present: Set<number>; named: readonly number[]; count: number }): {
  come: number[];
  go: number[];
} {
  const named = [...new Set(things.named)].filter((index) => index < things.count);
  const go = named.filter((index) => things.present.has(index));
  const come = named.filter((index) => !things.present.has(index));
  for (const index of go) things.present.delete(index);
  for (const index of come) things.present.add(index);
  return { come, go };
}

const sorted = (map: PolicyMap): [string, PolicyEntry][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

/** Lines may differ: a policy that came twice from differently laid out files is one policy. */
function patch(map: PolicyMap, change: SubjectChange, afterEach: () => void): void {
  for (const entry of change.upserted) {
    map.set(keyText(entry), entry);
    afterEach();
  }
  for (const key of change.deleted) {
    map.delete(keyText(key));
    afterEach();
  }
}

describe('createPolicyEngine() over random updates', () => {
  it('reports changes that add up to what a new engine resolves, and no flow slips through in between', () => {
    let patchedFlows = 0;
    const property = fc.property(
      fc.tuple(arbitraryDocuments, arbitraryDocuments),
      fc.array(arbitraryPod, { minLength: 3, maxLength: 8 }),
      steps,
      fc.constantFrom('default' as const, 'always' as const),
      ([first, second], pods, life, mode) => {
        // The second half of the documents has the names of the first, so that policies get replaced, too.
        const policies = [...parse(first), ...parse(second)];
        const identities = identitiesOf(pods);
        const options = { mode, allowLocalHost: pods.length % 2 === 0 };
        const engine = createPolicyEngine(options);
        const present = {
          policies: new Map<string, Policy>(),
          identities: new Set<number>(),
          subjects: new Set<number>(),
        };
        const maps = new Map<number, PolicyMap>();
        for (const step of life) {
          const ids = toggle({ present: present.identities, named: step.identities, count: identities.length });
          const subs = toggle({ present: present.subjects, named: step.subjects, count: identities.length });
          const upsertPolicies = step.policies.flatMap((index) => policies[index] ?? []).slice(0, 2);
          const deletePolicies = step.policies.flatMap((index) => policies[index]?.key ?? []).slice(2);
          for (const key of deletePolicies) present.policies.delete(key);
          for (const policy of upsertPolicies) present.policies.set(policy.key, policy);
          const update: PolicyUpdate = {
            upsertPolicies,
            deletePolicies,
            upsertIdentities: ids.come.map((index) => identities[index]!),
            deleteIdentities: ids.go.map((index) => identities[index]!.id),
            upsertSubjects: subs.come.map((index) => identities[index]!),
            deleteSubjects: subs.go.map((index) => identities[index]!.id),
          };
          for (const change of engine.apply(update).subjects) {
            if (change.kind === 'removed') {
              maps.delete(change.subject);
              continue;
            }
            const map = maps.get(change.subject) ?? new Map();
            if (change.kind === 'added') map.clear();
            maps.set(change.subject, map);
            const before = new Map(map);
            const after = mapOf(engine.resolve(change.subject)!.entries);
            patch(map, change, () => {
              if (change.rulesChanged) return;
              for (const { id } of identities) {
                for (const direction of directions) {
                  const flow = { direction, peerIdentity: id, protocol: 6, port: 80 };
                  if (lookUpAsKernel(map, flow).verdict !== 'allowed') continue;
                  patchedFlows++;
                  const allowed = [before, after].map((end) => lookUpAsKernel(end, flow).verdict === 'allowed');
                  same(allowed.includes(true), true, () => flow);
                }
              }
            });
          }
          for (const index of present.subjects) {
            const { id } = identities[index]!;
            const fresh = createPolicyEngine(options);
            fresh.apply({
              upsertSubjects: [identities[index]!],
              upsertPolicies: [...present.policies.values()],
              upsertIdentities: [...present.identities].map((other) => identities[other]!),
            });
            const expected = fresh.resolve(id)!;
            const resolved = engine.resolve(id)!;
            expect(sorted(mapOf(resolved.entries))).toEqual(sorted(mapOf(expected.entries)));
            expect(sorted(maps.get(id) ?? new Map())).toEqual(sorted(mapOf(expected.entries)));
            expect(resolved.ingressEnforced).toBe(expected.ingressEnforced);
            expect(resolved.egressEnforced).toBe(expected.egressEnforced);
            expect(resolved.entries).toHaveLength(mapOf(resolved.entries).size);
          }
        }
      },
    );
    fc.assert(property, { numRuns: 100 });
    expect(patchedFlows).toBeGreaterThan(100);
  });
});
