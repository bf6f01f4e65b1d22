// SPDX-License-Identifier: Apache-2.0
// A second reading of the policy language, written from its reference alone and sharing no code with the engine. It looks
// at the documents as they are written, one flow at a time, in the plainest way there is. Tests hold the engine to it.
import type {
  WrittenHttpRule,
  WrittenItem,
  WrittenObject,
  WrittenPort,
  WrittenRule,
  WrittenSelector,
} from './policy-document.ts';

/** A flow between two label sets (`source:key=value`), seen from the endpoint whose policy is asked. */
export interface NaiveFlow {
  readonly subject: readonly string[];
  readonly peer: readonly string[];
  readonly direction: 'ingress' | 'egress';
  readonly protocol: number;
  readonly port: number;
}

/** The parts of a request that rules look at. */
export interface NaiveRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
}

/** What becomes of a flow; `http`: it depends on the request. */
export type NaiveOutcome =
  | { readonly verdict: 'allowed' | 'dropped' }
  | { readonly verdict: 'http'; readonly passes: (request: NaiveRequest) => boolean };

/** The kinds of document that it reads. */
export type NaiveDocument = WrittenObject | readonly WrittenRule[];

type Scope = { readonly kind: 'namespace'; readonly namespace: string } | { readonly kind: 'cluster' | 'none' };

const namespaceKey = 'io.kubernetes.pod.namespace';
const clusterLabel = 'k8s:io.cilium.k8s.policy.cluster=default';

function labelParts(text: string): { source: string; key: string; value: string } {
  const [name = '', ...value] = text.split('=');
  const [source = '', ...key] = name.split(':');
  return { source, key: key.join(':'), value: value.join('=') };
}

function sourceAndKey(text: string): readonly [string, string] {
  const colon = text.indexOf(':');
  return colon < 0 ? ['any', text] : [text.slice(0, colon), text.slice(colon + 1)];
}

function selects(selector: WrittenSelector, texts: readonly string[]): boolean {
  const named = (name: string): string[] => {
    const [source, key] = sourceAndKey(name);
    const labels = texts.map(labelParts);
    return labels.filter((l) => l.key === key && (source === 'any' || l.source === source)).map((l) => l.value);
  };
  for (const [name, value] of Object.entries(selector.matchLabels ?? {})) {
    if (!named(name).includes(value)) return false;
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const found = named(key);
    const isIn = found.some((value) => values.includes(value));
    if (operator === 'In' && !isIn) return false;
    if (operator === 'NotIn' && isIn) return false;
    if (operator === 'Exists' && found.length === 0) return false;
    if (operator === 'DoesNotExist' && found.length > 0) return false;
  }
  return true;
}

const keysIn = (selector: WrittenSelector): (readonly [string, string])[] =>
  [...Object.keys(selector.matchLabels ?? {}), ...(selector.matchExpressions ?? []).map(({ key }) => key)].map(
    sourceAndKey,
  );

const isNamespace = (name: string): boolean =>
  [namespaceKey, `k8s:${namespaceKey}`, `any:${namespaceKey}`].includes(name);

const isIn = (namespace: string, texts: readonly string[]): boolean =>
  texts.includes(`k8s:${namespaceKey}=${namespace}`);

/** A namespaced policy selects in its own namespace; where it plainly names another one, that counts for nothing. */
function subjectSelected(scope: Scope, { endpointSelector = {} }: WrittenRule, texts: readonly string[]): boolean {
  if (scope.kind !== 'namespace') return selects(endpointSelector, texts);
  const { matchLabels = {}, matchExpressions = [] } = endpointSelector;
  const withoutNamespace = {
    matchLabels: Object.fromEntries(Object.entries(matchLabels).filter(([name]) => !isNamespace(name))),
    matchExpressions: matchExpressions.filter(
      ({ key, operator, values }) => !(isNamespace(key) && operator === 'In' && new Set(values).size === 1),
    ),
  };
  return isIn(scope.namespace, texts) && selects(withoutNamespace, texts);
}

function peerSelected(
  scope: Scope,
  peer: { selector: WrittenSelector; rule: WrittenRule },
  texts: readonly string[],
): boolean {
  const { selector, rule } = peer;
  if (!selects(selector, texts)) return false;
  const keys = keysIn(selector);
  const saysWhere = keys.some(
    ([source, key]) =>
      source === 'reserved' ||
      (key === namespaceKey && (source === 'k8s' || source === 'any')) ||
      key.startsWith('io.cilium.k8s.namespace.labels.'),
  );
  if (saysWhere || scope.kind === 'none') return true;
  if (scope.kind === 'namespace') return isIn(scope.namespace, texts);
  const isForInit = keysIn(rule.endpointSelector ?? {}).some(
    ([source, key]) => source === 'reserved' && key === 'init',
  );
  return isForInit || texts.some((text) => text.startsWith(`k8s:${namespaceKey}=`));
}

function entityMatches(entity: string, texts: readonly string[]): boolean {
  const reserved = (...names: string[]): boolean => names.some((name) => texts.includes(`reserved:${name}`));
  switch (entity) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'world':
      return reserved('world', 'world-ipv4', 'world-ipv6');
    case 'cluster':
      return reserved('host', 'remote-node', 'init', 'health', 'unmanaged') || texts.includes(clusterLabel);
    default:
      return reserved(entity);
  }
}

const numbers: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** Without a protocol, any that has ports; port 0 is every port, and with any protocol simply everything. */
function portMatches(port: WrittenPort, flow: NaiveFlow): boolean {
  const protocol = (port.protocol || 'ANY').toUpperCase();
  const number = Number(port.port);
  if (protocol === 'ANY' && number === 0) return true;
  const isProtocol = protocol === 'ANY' ? [6, 17, 132].includes(flow.protocol) : numbers[protocol] === flow.protocol;
  return isProtocol && (number === 0 || number === flow.port);
}

const requestMatches = (rule: WrittenHttpRule, request: NaiveRequest): boolean =>
  (['method', 'path', 'host'] as const).every((part) =>
    new RegExp(`^(?:${rule[part] || '.*'})$`, 's').test(request[part]),
  );

function scopedRules(document: NaiveDocument): { scope: Scope; rules: readonly WrittenRule[] } {
  if (!('kind' in document)) return { scope: { kind: 'none' }, rules: document };
  const rules = [...(document.spec ? [document.spec] : []), ...(document.specs ?? [])];
  const namespace = document.metadata.namespace ?? 'default';
  return document.kind === 'CiliumNetworkPolicy'
    ? { scope: { kind: 'namespace', namespace }, rules }
    : { scope: { kind: 'cluster' }, rules };
}

/** What all documents together say of one flow. */
interface Findings {
  defaultDeny: boolean;
  denied: boolean;
  allowed: boolean;
  readonly http: WrittenHttpRule[];
}

function lookAtRule(scope: Scope, rule: WrittenRule, flow: NaiveFlow, findings: Findings): void {
  if (!subjectSelected(scope, rule, flow.subject)) return;
  const allow = rule[flow.direction] ?? [];
  const deny = rule[`${flow.direction}Deny`] ?? [];
  if (rule.enableDefaultDeny?.[flow.direction] ?? allow.length + deny.length > 0) findings.defaultDeny = true;
  const isAbout = (item: WrittenItem): boolean => {
    const endpoints = item.fromEndpoints ?? item.toEndpoints;
    const entities = item.fromEntities ?? item.toEntities;
    if (endpoints) return endpoints.some((selector) => peerSelected(scope, { selector, rule }, flow.peer));
    if (entities) return entities.some((entity) => entityMatches(entity, flow.peer));
    return item.toPorts !== undefined;
  };
  for (const item of deny.filter(isAbout)) {
    const ports = item.toPorts?.flatMap((portRule) => portRule.ports);
    if (!ports || ports.some((port) => portMatches(port, flow))) findings.denied = true;
  }
  for (const item of allow.filter(isAbout)) {
    if (!item.toPorts) findings.allowed = true;
    for (const portRule of item.toPorts ?? []) {
      if (!portRule.ports.some((port) => portMatches(port, flow))) continue;
      const http = portRule.rules?.http ?? [];
      if (http.length === 0) findings.allowed = true;
      findings.http.push(...http);
    }
  }
}

/** What becomes of a flow under some documents. */
export function evaluateNaively(
  documents: readonly NaiveDocument[],
  flow: NaiveFlow,
  mode: 'default' | 'always' | 'never',
): NaiveOutcome {
  const findings: Findings = { defaultDeny: mode === 'always', denied: false, allowed: false, http: [] };
  for (const document of documents) {
    const { scope, rules } = scopedRules(document);
    for (const rule of rules) lookAtRule(scope, rule, flow, findings);
  }
  if (mode === 'never') return { verdict: 'allowed' };
  if (findings.denied) return { verdict: 'dropped' };
  if (findings.allowed) return { verdict: 'allowed' };
  if (findings.http.length > 0) {
    return { verdict: 'http', passes: (request) => findings.http.some((rule) => requestMatches(rule, request)) };
  }
  return { verdict: findings.defaultDeny ? 'dropped' : 'allowed' };
}
