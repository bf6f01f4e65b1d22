// SPDX-License-Identifier: Apache-2.0
// The NetworkPolicy of Kubernetes by its own reference. Here an empty list, or none, stands for everything.
import { addressLiesIn } from './naive-addresses.ts';
import type { NaiveEnd, NaiveFlow } from './naive-flow.ts';
import { portMatches } from './naive-ports.ts';
import { isPodIn, isReserved, namespaceLabelPrefix, selects } from './naive-selectors.ts';
import type {
  WrittenNetworkItem,
  WrittenNetworkPeer,
  WrittenNetworkPolicy,
  WrittenSelector,
} from './policy-document.ts';

/** A selector with every key put after a prefix. */
function prefixed(selector: WrittenSelector, prefix: string): WrittenSelector {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return {
    matchLabels: Object.fromEntries(Object.entries(matchLabels).map(([key, value]) => [prefix + key, value])),
    matchExpressions: matchExpressions.map(({ key, ...rest }) => ({ ...rest, key: prefix + key })),
  };
}

const podSelected = (selector: WrittenSelector, pod: NaiveEnd): boolean => selects(prefixed(selector, 'k8s:'), pod);

function isPeer(
  { podSelector, namespaceSelector, ipBlock }: WrittenNetworkPeer,
  peer: NaiveEnd,
  home: string,
): boolean {
  if (ipBlock !== undefined) {
    const { address } = peer;
    if (address === undefined || !addressLiesIn(address, ipBlock.cidr)) return false;
    return !(ipBlock.except ?? []).some((prefix) => addressLiesIn(address, prefix));
  }
  const isThere =
    namespaceSelector === undefined
      ? isPodIn(peer, home)
      : isPodIn(peer) && selects(prefixed(namespaceSelector, `k8s:${namespaceLabelPrefix}`), peer);
  return isThere && podSelected(podSelector ?? {}, peer);
}

function itemMatches({ from, to, ports = [] }: WrittenNetworkItem, flow: NaiveFlow, home: string): boolean {
  const peers = from ?? to ?? [];
  if (peers.length > 0 && !peers.some((peer) => isPeer(peer, flow.peer, home))) return false;
  return (
    ports.length === 0 ||
    ports.some(({ port = 0, endPort = 0, protocol = 'TCP' }) =>
      portMatches({ port: String(port), endPort, protocol }, flow),
    )
  );
}

/** What a NetworkPolicy says of a flow: whether it isolates the subject in its direction, and whether it allows it. */
export function judgeNetworkPolicy(
  { metadata, spec }: WrittenNetworkPolicy,
  flow: NaiveFlow,
): { readonly isolates: boolean; readonly allows: boolean } {
  const home = metadata.namespace ?? 'default';
  const isSubject =
    isPodIn(flow.subject, home) &&
    !isReserved(flow.subject, 'host') &&
    podSelected(spec.podSelector ?? {}, flow.subject);
  const stated = spec.policyTypes ?? [];
  const types = stated.length > 0 ? stated : ['Ingress', ...((spec.egress ?? []).length > 0 ? ['Egress'] : [])];
  const isolates = isSubject && types.includes(flow.direction === 'ingress' ? 'Ingress' : 'Egress');
  return { isolates, allows: isolates && (spec[flow.direction] ?? []).some((item) => itemMatches(item, flow, home)) };
}
