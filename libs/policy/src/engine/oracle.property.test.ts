// SPDX-License-Identifier: Apache-2.0
// The engine is held to a naive evaluator that was written from the language's reference alone, through what the kernel
// would do with the entries. A run says its seed; WEIR_RUNS=50 makes it fifty times as long.
import fc from 'fast-check';
import { directions, icmpPort } from '@weir/model';
import {
  arbitraryDocuments,
  arbitraryPod,
  arbitraryServices,
  createReplay,
  evaluateNaively,
  type NaiveFlow,
  type NaiveRequest,
  type NaiveSetting,
  withoutDefaultAllow,
  type WrittenDocument,
} from '@weir/policy-testing';
import { allFeatures } from '../feature.ts';
import type { PolicyEntryKey } from '../policy-entry.ts';
import { applyRuleSet } from '../testing/apply-rule-set.ts';
import { type KernelVerdict, keyText, lookUpAsKernel, type PolicyMap } from '../testing/kernel-look-up.ts';
import { createOracleWorld, type OraclePeer, type OracleSubject, readDocuments } from '../testing/oracle-world.ts';
import type { EnforcementMode } from './direction-policy.ts';
import type { PolicyEngine } from './engine-types.ts';
import { createPolicyEngine } from './policy-engine.ts';

const replay = createReplay();

const requests: NaiveRequest[] = ['GET', 'PUT', 'POST'].flatMap((method) =>
  ['/a', '/a/b', '/b', '/c'].flatMap((path) =>
    [{}, { 'x-a': '1' }, { 'x-a': '2', 'x-b': '2' }].map((headers, index) => ({
      method,
      path,
      host: index === 1 ? 'other' : 'h',
      headers: headers as Record<string, string>,
    })),
  ),
);

const flowKinds = [
  ...[80, 443, 8080, 8085, 9000].map((port) => ({ protocol: 6, port })),
  ...[53, 80].map((port) => ({ protocol: 17, port })),
  { protocol: 132, port: 80 },
  ...[0, 8].map((port) => ({ protocol: 1, port })),
  { protocol: 58, port: 128 },
  { protocol: 47, port: 0 },
];
const isIcmp = (protocol: number): boolean => protocol === 1 || protocol === 58;

/** A subject's policy as the kernel has it. */
interface Realised {
  readonly isEnforced: Readonly<Record<'ingress' | 'egress', boolean>>;
  readonly isDefaultAllow: Readonly<Record<'ingress' | 'egress', boolean>>;
  readonly map: PolicyMap;
}

function realise(engine: PolicyEngine, subject: number): Realised {
  const resolved = engine.resolve(subject)!;
  return {
    isEnforced: { ingress: resolved.ingressEnforced, egress: resolved.egressEnforced },
    isDefaultAllow: { ingress: resolved.ingressDefaultAllow, egress: resolved.egressDefaultAllow },
    map: new Map(resolved.entries.map((entry) => [keyText(entry), entry])),
  };
}

function lookUp({ map, isEnforced, isDefaultAllow }: Realised, flow: PolicyEntryKey): KernelVerdict {
  if (!isEnforced[flow.direction]) return { verdict: 'allowed' };
  const found = lookUpAsKernel(map, flow);
  if (found.verdict !== 'none') return found;
  return { verdict: isDefaultAllow[flow.direction] ? 'allowed' : 'dropped' };
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

interface World {
  readonly documents: readonly WrittenDocument[];
  readonly setting: NaiveSetting;
  readonly engine: PolicyEngine;
}

const seen = { allowed: 0, dropped: 0, http: 0, flows: 0 };

function compareFlow(
  { documents, setting, engine }: World,
  flow: NaiveFlow,
  asked: PolicyEntryKey & { subject: number; policy: Realised },
): void {
  const expected = evaluateNaively(documents, flow, setting);
  const actual = lookUp(asked.policy, asked);
  seen.flows++;
  seen[expected.verdict]++;
  same(actual.verdict, expected.verdict === 'http' ? 'redirected' : expected.verdict, () => flow);
  same(decisionNames[engine.decide(asked).verdict], actual.verdict, () => flow);
  if (expected.verdict !== 'http') return;
  for (const request of requests) {
    const { passes, repairs } = applyRuleSet(actual.ruleSet!, request);
    same(passes, expected.passes(request), () => ({ flow, request, ruleSet: actual.ruleSet }));
    if (passes) same(repairs.join(), expected.repairs(request).join(), () => ({ flow, request }));
  }
}

function compare(world: World, ends: OracleSubject & { readonly peer: OraclePeer; readonly policy: Realised }): void {
  const { subject, end, peer, policy } = ends;
  for (const { protocol, port } of flowKinds) {
    for (const direction of directions) {
      const flow = { subject: end, peer: peer.end, direction, protocol, port };
      const key = { direction, peerIdentity: peer.id, protocol, port: isIcmp(protocol) ? icmpPort(port) : port };
      compareFlow(world, flow, { ...key, subject: subject.id, policy });
    }
  }
}

const setting = fc.record({
  mode: fc.constantFrom<EnforcementMode>('default', 'default', 'default', 'default', 'always', 'never'),
  allowLocalHost: fc.boolean(),
  defaultAllow: fc.boolean(),
  hasClusterPeer: fc.boolean(),
});

describe(`createPolicyEngine() over random policies, pods and flows (${replay.title})`, () => {
  it('lets through what the reference lets through, and nothing else', () => {
    const property = fc.property(
      arbitraryDocuments,
      fc.array(arbitraryPod, { minLength: 2, maxLength: 4 }),
      fc.tuple(setting, arbitraryServices),
      (made, pods, [{ mode, allowLocalHost, defaultAllow, hasClusterPeer }, services]) => {
        const documents = defaultAllow ? made : withoutDefaultAllow(made);
        const features = [...allFeatures].filter((feature) => defaultAllow || feature !== 'defaultAllow');
        const policies = readDocuments(documents, new Set(features));
        const { update, subjects, peers } = createOracleWorld(pods, { policies, services });
        const clusterPeer = hasClusterPeer ? { clusterPeer: { clusterName: 'default' } } : {};
        const engine = createPolicyEngine({ mode, allowLocalHost, defaultAllow, ...clusterPeer });
        engine.apply(update);
        const world = { documents, setting: { services, mode, allowLocalHost }, engine };
        for (const subject of subjects) {
          const policy = realise(engine, subject.subject.id);
          for (const peer of peers) compare(world, { ...subject, peer, policy });
        }
      },
    );
    fc.assert(property, replay.runs(100));
    expect(seen.flows).toBeGreaterThan(100_000);
    // A world in which nothing ever passes, or everything does, would prove nothing.
    for (const count of [seen.allowed, seen.dropped]) expect(count / seen.flows).toBeGreaterThan(0.1);
    expect(seen.http).toBeGreaterThan(200);
  }, 120_000);
});
