// SPDX-License-Identifier: Apache-2.0
// Every line of expectation in a file of examples/policies is held to the engine and to the naive evaluator, and so is the
// line that says what a policy needs.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  cidrIdentityLabels,
  cidrOfAddress,
  formatIpAddress,
  formatLabelSet,
  type NamedPort,
  parseCidr,
  parseLabelSet,
} from '@weir/model';
import {
  evaluateNaively,
  type NaiveEnd,
  type NaiveOutcome,
  type NaiveService,
  type WrittenDocument,
} from '@weir/policy-testing';
import { createPolicyEngine } from './engine/policy-engine.ts';
import type { PolicyEngine, ServiceDescription } from './engine/engine-types.ts';
import type { FlowEnd, HttpRequest } from './explain/explain-types.ts';
import { type FlowPort, parseFlowEnd, parseFlowPort, parseHttpRequest } from './explain/flow-text.ts';
import { allFeatures, type PolicyFeature } from './feature.ts';
import { type ParsedPolicies, parsePolicyFiles } from './parse-policy-files.ts';
import { completePrefixes, policyPrefixes } from './policy-prefixes.ts';
import { formatProblem } from './problem.ts';

const folder = fileURLToPath(new URL('../../../examples/policies/', import.meta.url));
const files = globSync('**/*.{yaml,json}', { cwd: folder }).toSorted();

const hostLabels = ['reserved:host', 'k8s:pool=db'];
const services: NaiveService[] = [
  { namespace: 'shop', name: 'db', labels: {}, selector: { app: 'db' } },
  { namespace: 'shop', name: 'legacy', labels: { kind: 'legacy' }, addresses: ['192.0.2.0/24'] },
];
const described = services.map(({ addresses = [], ...rest }): ServiceDescription => ({
  ...rest,
  addresses: addresses.map((text) => parseCidr(text)),
}));

interface Expectation {
  readonly line: string;
  readonly verdict: string;
  readonly source: string;
  readonly destination: string;
  readonly port: FlowPort;
  readonly request?: HttpRequest;
}

const pattern = /^# +(allow|drop|refuse) +(\S+) -> (\S+) (\S+)(?: ([A-Z]+ \/\S*))?(?: ([\w-]+: \S+))?$/gm;

function expectationsOf(text: string): Expectation[] {
  return [...text.matchAll(pattern)].map(
    ([line, verdict = '', source = '', destination = '', port = '', request, header]) => ({
      ...{ line, verdict, source, destination, port: parseFlowPort(port) },
      ...(request !== undefined && { request: parseHttpRequest(request, header === undefined ? [] : [header]) }),
    }),
  );
}

/** Pods with app=web call their port 8080 http. */
const namedPortsOf = (labels: readonly string[]): NamedPort[] =>
  labels.includes('k8s:app=web') ? [{ name: 'http', protocol: 6, port: 8080 }] : [];

function endsOf(text: string): { readonly engine: FlowEnd; readonly naive: NaiveEnd; readonly hasPolicy: boolean } {
  const end = parseFlowEnd(text);
  if (end.kind === 'address') {
    const naive = { labels: ['reserved:world='], address: formatIpAddress(end.address) };
    return { engine: { kind: 'prefix', prefix: cidrOfAddress(end.address) }, naive, hasPolicy: false };
  }
  if (end.kind !== 'labels') throw new TypeError(`${text} cannot be an end of an example`);
  const labels = text === 'host' ? hostLabels : formatLabelSet(end.labels);
  const namedPorts = namedPortsOf(labels);
  const isPod = labels.some((label) => label.startsWith('k8s:io.kubernetes.pod.namespace='));
  const hasPolicy = isPod || text === 'host';
  return { engine: { kind: 'labels', labels: end.labels, namedPorts }, naive: { labels, namedPorts }, hasPolicy };
}

function read(name: string, features: ReadonlySet<PolicyFeature> = allFeatures): ParsedPolicies {
  return parsePolicyFiles([{ name, content: readFileSync(folder + name) }], { supports: features });
}

function engineWith(name: string): PolicyEngine {
  const { policies } = read(name);
  const ofServices = described.flatMap(({ addresses = [] }) => addresses);
  const prefixes = completePrefixes([...policies.flatMap(policyPrefixes), ...ofServices]);
  const engine = createPolicyEngine({ defaultAllow: true });
  engine.apply({
    upsertPolicies: policies,
    upsertServices: described,
    upsertIdentities: prefixes.map((prefix, index) => ({
      id: 2 ** 24 + 1 + index,
      labels: cidrIdentityLabels(prefix),
    })),
    upsertSubjects: [{ id: 9001, labels: parseLabelSet(hostLabels) }],
  });
  return engine;
}

function askEngine(engine: PolicyEngine, { source, destination, port, request }: Expectation): string {
  const { verdict } = engine.explain({
    ...{ source: endsOf(source).engine, destination: endsOf(destination).engine, ...port },
    ...(request !== undefined && { request }),
  });
  return verdict;
}

function askNaively(documents: readonly WrittenDocument[], expected: Expectation): string {
  const [source, destination] = [endsOf(expected.source), endsOf(expected.destination)];
  const { protocol, port } = expected.port;
  const flow = { protocol, port: protocol === 1 || protocol === 58 ? port - 256 : port };
  const setting = { services, mode: 'default', allowLocalHost: false } as const;
  const outcomes = [
    { direction: 'egress' as const, subject: source, peer: destination },
    { direction: 'ingress' as const, subject: destination, peer: source },
  ].flatMap(({ direction, subject, peer }): NaiveOutcome[] =>
    subject.hasPolicy
      ? [evaluateNaively(documents, { ...flow, direction, subject: subject.naive, peer: peer.naive }, setting)]
      : [],
  );
  if (outcomes.some(({ verdict }) => verdict === 'dropped')) return 'dropped';
  const { method = '', path = '', host = '', headers = [] } = expected.request ?? {};
  const request = {
    method,
    path,
    host,
    headers: Object.fromEntries(headers.map(({ name, value }) => [name.toLowerCase(), value])),
  };
  const isRefused = outcomes.some((outcome) => outcome.verdict === 'http' && !outcome.passes(request));
  return isRefused ? 'refused' : 'allowed';
}

const verdicts: Readonly<Record<string, string>> = { allow: 'allowed', drop: 'dropped', refuse: 'refused' };

describe('examples/policies', () => {
  it.each(files)('%s says what it does', (name) => {
    const text = readFileSync(folder + name, 'utf8');
    const { policies, problems, warnings } = read(name);
    expect([...problems, ...warnings].map(formatProblem)).toEqual([]);
    const documents = policies.map(({ document }) => JSON.parse(document) as WrittenDocument);
    const engine = engineWith(name);
    const expectations = expectationsOf(text);
    const said = [...text.matchAll(/^#.*->.*$/gm)];
    expect(expectations.map(({ line }) => line)).toEqual(said.map(([line]) => line));
    if (name.endsWith('.yaml')) {
      expect(new Set(expectations.map(({ verdict }) => verdict)).size).toBeGreaterThan(1);
    }
    for (const expected of expectations) {
      const wanted = [expected.line, verdicts[expected.verdict]];
      expect([expected.line, askEngine(engine, expected)]).toEqual(wanted);
      expect([expected.line, askNaively(documents, expected)]).toEqual(wanted);
    }
  });

  it.each(files)('%s says what it needs', (name) => {
    const [, said = ''] = /^# Needs: (.*)$/m.exec(readFileSync(folder + name, 'utf8')) ?? [];
    const needed = [...allFeatures].filter((feature) => {
      const others = [...allFeatures].filter((other) => other !== feature);
      return read(name, new Set(others)).problems.length > 0;
    });
    expect(needed.join(', ')).toBe(said);
  });
});
