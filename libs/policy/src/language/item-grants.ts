// SPDX-License-Identifier: Apache-2.0
import { canonicalHttpRules } from '../http-rules.ts';
import { descend, fieldPath, placeLine } from '../document/place.ts';
import { distinctPorts } from '../port-prefix.ts';
import type { Grant } from '../rule.ts';
import { createSelectorSpec, labelExists, type SelectorSpec } from '../selector-spec.ts';
import { cidrSelector } from './cidr-rule.ts';
import { entitySelectors } from './entities.ts';
import { icmpMatches } from './icmp-rule.ts';
import { namedPortMatch, portMatches } from './port-item.ts';
import type { PortRule } from './port-rule.ts';
import { type PolicyScope, scopePeer, scopeRequired } from './scope.ts';
import type { ReadItem, SectionItem } from './section.ts';

/** What selectors of a policy are resolved against. */
export interface RuleContext {
  readonly scope: PolicyScope;
  readonly clusterName: string;
  /** The rule's subject, in its scope. */
  readonly subject: SelectorSpec;
}

const isNode = labelExists('reserved', 'remote-node');

/** The peers that an item names; undefined when it names none, which is something else than naming nobody. */
function namedPeers(item: SectionItem, context: RuleContext): SelectorSpec[] | undefined {
  const { endpoints, entities, cidrs, nodes, services } = item;
  if (endpoints ?? entities ?? cidrs ?? nodes ?? services) {
    return [
      ...(endpoints ?? []).map((selector) => scopePeer(selector, context.scope, context.subject)),
      ...(entities ?? []).flatMap((entity) => entitySelectors(entity, context.clusterName)),
      ...(cidrs ?? []).map(cidrSelector),
      ...(nodes ?? []).map((selector) => createSelectorSpec([...selector.requirements, isNode])),
    ];
  }
  return undefined;
}

/** Any peer when no member names peers but ports are named, none when nothing is. */
function itemPeers(item: SectionItem, context: RuleContext): Grant['peers'] {
  const peers = namedPeers(item, context);
  if (peers === undefined) return item.toPorts === undefined && item.icmps === undefined ? [] : 'any';
  return peers.some((selector) => selector.requirements.length === 0) ? 'any' : peers;
}

function portGrant(rule: PortRule): Pick<Grant, 'ports' | 'namedPorts' | 'http'> {
  const http = canonicalHttpRules(rule.rules?.http ?? []);
  const namedPorts = rule.ports.flatMap(namedPortMatch);
  return {
    ports: distinctPorts(rule.ports.flatMap(portMatches)),
    ...(namedPorts.length > 0 && { namedPorts }),
    // An empty list of HTTP rules lets every request pass, which is what no list does.
    ...(http.length > 0 && { http }),
  };
}

/** What an item of a section grants: one grant for each of its port rules, or one for every port. */
export function itemGrants(read: ReadItem, context: RuleContext): Grant[] {
  const { item, verdict, place } = read;
  const peers = itemPeers(item, context);
  const services = item.services ?? [];
  if (peers !== 'any' && peers.length + services.length === 0) return [];
  const common = { verdict, peers, ...(services.length > 0 && { services }) };
  const at = (field: string, index: number): Pick<Grant, 'path' | 'line'> => ({
    path: `${fieldPath(place.path, field)}[${index}]`,
    line: placeLine(descend(place, [field, index]), 'first'),
  });
  if (item.toPorts !== undefined) {
    return item.toPorts.map((rule, index) => ({ ...common, ...portGrant(rule), ...at('toPorts', index) }));
  }
  if (item.icmps !== undefined) {
    return item.icmps.map((rule, index) => ({ ...common, ports: icmpMatches(rule), ...at('icmps', index) }));
  }
  const everything = [{ protocol: 0, port: 0, prefixLength: 0 }];
  return [{ ...common, ports: everything, path: place.path, line: placeLine(place, 'first') }];
}

/** What `fromRequires` of some items want of every peer, all of it together; undefined when they want nothing. */
export function requiredPeer(items: readonly ReadItem[], context: RuleContext): SelectorSpec | undefined {
  const selectors = items.flatMap(({ item }) => item.requires ?? []);
  const requirements = selectors.flatMap(
    (selector) => scopeRequired(selector, context.scope, context.subject).requirements,
  );
  return requirements.length === 0 ? undefined : createSelectorSpec(requirements);
}
