// SPDX-License-Identifier: Apache-2.0
// A second reading of the policy language, written from its reference alone. It looks at the documents as they are
// written, one flow at a time, in the plainest way there is. Tests hold the engine to it.
import { addressLiesIn } from './naive-addresses.ts';
import type { NaiveEnd, NaiveFlow, NaiveOutcome, NaiveSetting } from './naive-flow.ts';
import { judgeNetworkPolicy } from './naive-network-policy.ts';
import { icmpMatches, portMatches } from './naive-ports.ts';
import { judgeRequests } from './naive-requests.ts';
import { isPodIn, isReserved, type NaiveScope, peerSelected, selects, subjectSelected } from './naive-selectors.ts';
import type {
  WrittenDocument,
  WrittenHttpRule,
  WrittenItem,
  WrittenObject,
  WrittenRule,
  WrittenService,
} from './policy-document.ts';

const clusterLabel = 'k8s:io.cilium.k8s.policy.cluster=default';

function entityMatches(entity: string, peer: NaiveEnd): boolean {
  switch (entity) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'world':
      return isReserved(peer, 'world', 'world-ipv4', 'world-ipv6');
    case 'cluster':
      return (
        isReserved(peer, 'host', 'remote-node', 'init', 'health', 'unmanaged') || peer.labels.includes(clusterLabel)
      );
    default:
      return isReserved(peer, entity);
  }
}

function cidrMatches(rule: { readonly cidr: string; readonly except?: readonly string[] }, peer: NaiveEnd): boolean {
  const { address } = peer;
  if (address === undefined || !addressLiesIn(address, rule.cidr)) return false;
  return !(rule.except ?? []).some((prefix) => addressLiesIn(address, prefix));
}

function serviceMatches(wanted: WrittenService, peer: NaiveEnd, { services }: NaiveSetting): boolean {
  const { k8sService: named, k8sServiceSelector: selected } = wanted;
  const inNamespace = named?.namespace ?? selected?.namespace;
  return services.some(({ namespace, name, labels, selector, addresses = [] }) => {
    if (inNamespace !== undefined && inNamespace !== namespace) return false;
    if (named !== undefined && named.serviceName !== name) return false;
    const texts = Object.entries(labels).map(([key, value]) => `k8s:${key}=${value}`);
    if (selected !== undefined && !selects(selected.selector, { labels: texts })) return false;
    if (Object.keys(selector ?? {}).length === 0) {
      return addresses.some((prefix) => peer.address !== undefined && addressLiesIn(peer.address, prefix));
    }
    const pods = Object.fromEntries(Object.entries(selector ?? {}).map(([key, value]) => [`k8s:${key}`, value]));
    return isPodIn(peer, namespace) && selects({ matchLabels: pods }, peer);
  });
}

/** A rule and what it is looked at with. */
interface Look {
  readonly scope: NaiveScope;
  readonly rule: WrittenRule;
  readonly flow: NaiveFlow;
  readonly setting: NaiveSetting;
}

/** Members that name peers are alternatives; without any of them an item with ports is about everybody. */
function isAboutPeer(item: WrittenItem, { scope, rule, flow: { peer }, setting }: Look): boolean {
  const endpoints = item.fromEndpoints ?? item.toEndpoints;
  const entities = item.fromEntities ?? item.toEntities;
  const cidrs = (item.fromCIDR ?? item.toCIDR)?.map((cidr) => ({ cidr })) ?? item.fromCIDRSet ?? item.toCIDRSet;
  const nodes = item.fromNodes ?? item.toNodes;
  if (endpoints) return endpoints.some((selector) => peerSelected(scope, { selector, rule }, peer));
  if (entities) return entities.some((entity) => entityMatches(entity, peer));
  if (cidrs) return cidrs.some((cidr) => cidrMatches(cidr, peer));
  if (nodes) return isReserved(peer, 'remote-node') && nodes.some((selector) => selects(selector, peer));
  if (item.toServices) return item.toServices.some((service) => serviceMatches(service, peer, setting));
  return item.toPorts !== undefined || item.icmps !== undefined;
}

/** What all documents together say of one flow. */
interface Findings {
  defaultDeny: boolean;
  denied: boolean;
  allowed: boolean;
  /** Whether every `fromRequires` of rules that allow, and of rules that deny, holds for the peer. */
  mayBeAllowed: boolean;
  mayBeDenied: boolean;
  readonly http: WrittenHttpRule[];
}

const meetsRequirements = (items: readonly WrittenItem[], { scope, rule, flow }: Look): boolean =>
  items
    .flatMap((item) => item.fromRequires ?? item.toRequires ?? [])
    .every((selector) => peerSelected(scope, { selector, rule, isRequired: true }, flow.peer));

function lookAtRule(look: Look, findings: Findings): void {
  const { scope, rule, flow } = look;
  if (!subjectSelected(scope, rule, flow.subject)) return;
  const allow = rule[flow.direction] ?? [];
  const deny = rule[`${flow.direction}Deny`] ?? [];
  if (rule.enableDefaultDeny?.[flow.direction] ?? allow.length + deny.length > 0) findings.defaultDeny = true;
  if (!meetsRequirements(allow, look)) findings.mayBeAllowed = false;
  if (!meetsRequirements(deny, look)) findings.mayBeDenied = false;
  for (const item of deny) {
    if (!isAboutPeer(item, look)) continue;
    const ports = item.toPorts?.flatMap((portRule) => portRule.ports);
    if (!ports && !item.icmps) findings.denied = true;
    if (ports?.some((port) => portMatches(port, flow))) findings.denied = true;
    if (item.icmps?.some((icmp) => icmpMatches(icmp, flow))) findings.denied = true;
  }
  for (const item of allow) {
    if (!isAboutPeer(item, look)) continue;
    if (!item.toPorts && !item.icmps) findings.allowed = true;
    if (item.icmps?.some((icmp) => icmpMatches(icmp, flow))) findings.allowed = true;
    for (const portRule of item.toPorts ?? []) {
      if (!portRule.ports.some((port) => portMatches(port, flow))) continue;
      const http = portRule.rules?.http ?? [];
      if (http.length === 0) findings.allowed = true;
      findings.http.push(...http);
    }
  }
}

const rulesOf = ({ spec, specs = [] }: WrittenObject): readonly WrittenRule[] => [...(spec ? [spec] : []), ...specs];

function lookAtDocument(
  document: WrittenDocument,
  { flow, setting }: Pick<Look, 'flow' | 'setting'>,
  findings: Findings,
): void {
  const look = (scope: NaiveScope, rules: readonly WrittenRule[]): void => {
    for (const rule of rules) lookAtRule({ scope, rule, flow, setting }, findings);
  };
  if (!('kind' in document)) return look({ kind: 'none' }, document);
  if (document.kind === 'NetworkPolicy') {
    const { isolates, allows } = judgeNetworkPolicy(document, flow);
    if (isolates) findings.defaultDeny = true;
    if (allows) findings.allowed = true;
  } else if (document.kind === 'CiliumNetworkPolicy') {
    look({ kind: 'namespace', namespace: document.metadata.namespace ?? 'default' }, rulesOf(document));
  } else {
    look({ kind: 'cluster' }, rulesOf(document));
  }
}

/** What becomes of a flow under some documents. */
export function evaluateNaively(
  documents: readonly WrittenDocument[],
  flow: NaiveFlow,
  setting: NaiveSetting,
): NaiveOutcome {
  if (setting.mode === 'never') return { verdict: 'allowed' };
  const findings: Findings = {
    // Of every endpoint; a node is not one.
    defaultDeny: setting.mode === 'always' && !isReserved(flow.subject, 'host'),
    denied: false,
    allowed: false,
    mayBeAllowed: true,
    mayBeDenied: true,
    http: [],
  };
  for (const document of documents) lookAtDocument(document, { flow, setting }, findings);
  if (findings.denied && findings.mayBeDenied) return { verdict: 'dropped' };
  const isHostCalling = flow.direction === 'ingress' && isReserved(flow.peer, 'host');
  if (setting.allowLocalHost && isHostCalling && !isReserved(flow.subject, 'host')) return { verdict: 'allowed' };
  if (findings.allowed && findings.mayBeAllowed) return { verdict: 'allowed' };
  if (findings.http.length > 0 && findings.mayBeAllowed) return judgeRequests(findings.http);
  return { verdict: findings.defaultDeny ? 'dropped' : 'allowed' };
}
