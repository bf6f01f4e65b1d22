// SPDX-License-Identifier: Apache-2.0
// A small world in which tests say what policies mean: a few pods in two namespaces, and engines that know them.
import { cidrIdentityLabels, type Direction, type LabelSet, parseCidr, podLabels, protocolNumber } from '@weir/model';
import type { WrittenDocument, WrittenNetworkPolicy, WrittenRule } from '@weir/policy-testing';
import type { EngineOptions } from '../engine/engine-state.ts';
import type { LabelledIdentity, PolicyAnswer, PolicyEngine } from '../engine/engine-types.ts';
import { createPolicyEngine } from '../engine/policy-engine.ts';
import { allFeatures } from '../feature.ts';
import { parsePolicyFiles } from '../parse-policy-files.ts';
import { formatProblem } from '../problem.ts';
import type { Policy } from '../rule.ts';

export const pod = (app: string, namespace = 'shop', more: Record<string, string> = {}): LabelSet =>
  podLabels({ namespace, labels: { app, ...more } }).labels;

export const [web, front, other, elsewhere] = [300, 301, 302, 303];

export const identities: readonly LabelledIdentity[] = [
  { id: web, labels: pod('web') },
  { id: front, labels: pod('front') },
  { id: other, labels: pod('other') },
  { id: elsewhere, labels: pod('front', 'away') },
];

/** The identity of a prefix; numbers count from 2^24 + 1. */
export const prefixIdentity = (index: number, prefix: string): LabelledIdentity => ({
  id: 2 ** 24 + 1 + index,
  labels: cidrIdentityLabels(parseCidr(prefix)),
});

export function policies(...documents: WrittenDocument[]): Policy[] {
  const files = documents.map((document, index) => ({ name: `${index}.json`, content: JSON.stringify(document) }));
  const { policies: read, problems } = parsePolicyFiles(files, { supports: allFeatures });
  expect(problems.map(formatProblem)).toEqual([]);
  return [...read];
}

export const cnp = (name: string, ...specs: WrittenRule[]): WrittenDocument => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name, namespace: 'shop' },
  specs,
});

export const ccnp = (name: string, spec: WrittenRule): WrittenDocument => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumClusterwideNetworkPolicy',
  metadata: { name },
  spec,
});

export const networkPolicy = (spec: WrittenNetworkPolicy['spec'], name = 'np'): WrittenDocument => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'shop' },
  spec,
});

export const ofWeb = { endpointSelector: { matchLabels: { app: 'web' } } };
export const fromFront = { fromEndpoints: [{ matchLabels: { app: 'front' } }] };
export const port = (number: number | string, protocol = 'TCP') => ({ ports: [{ port: String(number), protocol }] });

/** An engine with some policies, in which every pod of the world is a subject. */
export function engineWith(documents: WrittenDocument[], options: Partial<EngineOptions> = {}): PolicyEngine {
  const engine = createPolicyEngine(options);
  engine.apply({ upsertPolicies: policies(...documents), upsertIdentities: identities });
  engine.apply({ upsertSubjects: identities });
  return engine;
}

export interface Flow {
  readonly peer: number;
  readonly port?: number;
  readonly protocol?: number;
  readonly direction?: Direction;
  readonly subject?: number;
}

export const ask = (engine: PolicyEngine, flow: Flow): PolicyAnswer =>
  engine.decide({
    subject: flow.subject ?? web,
    direction: flow.direction ?? 'ingress',
    peerIdentity: flow.peer,
    protocol: flow.protocol ?? protocolNumber.TCP,
    port: flow.port ?? 80,
  });

export const verdict = (engine: PolicyEngine, flow: Flow): string => ask(engine, flow).verdict;
