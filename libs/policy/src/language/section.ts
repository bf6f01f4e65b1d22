// SPDX-License-Identifier: Apache-2.0
import type { Direction, Entity } from '@weir/model';
import { fieldPath, fieldPlace, type Place, placeLine, reportProblem } from '../document/place.ts';
import { listReader, objectReader, type ObjectSchema, type Reader } from '../document/readers.ts';
import type { Grant } from '../rule.ts';
import type { SelectorSpec } from '../selector-spec.ts';
import { entitySelectors, readEntity } from './entities.ts';
import { allNotEnforced } from './not-enforced.ts';
import { canonicalHttpRules, portMatches, type PortRule, readDenyPortRules, readPortRules } from './ports.ts';
import { type PolicyScope, scopePeer } from './scope.ts';
import { readSelector } from './selector.ts';

/** An item of `ingress`, `egress`, `ingressDeny` or `egressDeny`, with the members of both directions under one name. */
interface SectionItem {
  readonly endpoints?: readonly SelectorSpec[];
  readonly entities?: readonly Entity[];
  readonly toPorts?: readonly PortRule[];
}

interface IngressFields {
  readonly fromEndpoints?: readonly SelectorSpec[];
  readonly fromEntities?: readonly Entity[];
  readonly toPorts?: readonly PortRule[];
}

interface EgressFields {
  readonly toEndpoints?: readonly SelectorSpec[];
  readonly toEntities?: readonly Entity[];
  readonly toPorts?: readonly PortRule[];
}

const readEndpoints = listReader(readSelector);
const readEntities = listReader(readEntity);

const sharedRefusals = { authentication: 'mutual authentication', icmps: 'types of ICMP message' };

const ingressRefusals = allNotEnforced({
  ...sharedRefusals,
  fromCIDR: 'peers by address',
  fromCIDRSet: 'peers by address',
  fromGroups: 'peers by group of a cloud provider',
  fromNodes: 'peers by labels of nodes',
  fromRequires: 'requirements on the peers of other rules',
});

const egressRefusals = allNotEnforced({
  ...sharedRefusals,
  toCIDR: 'peers by address',
  toCIDRSet: 'peers by address',
  toFQDNs: 'peers by DNS name',
  toGroups: 'peers by group of a cloud provider',
  toNodes: 'peers by labels of nodes',
  toRequires: 'requirements on the peers of other rules',
  toServices: 'peers by service',
});

/** Two ways to name peers in one item would have to be both true of a peer; the baseline refuses this, too. */
function onePeerMember(members: readonly string[]): (value: object, place: Place) => void {
  return (_value, place) => {
    if (place.node.kind !== 'map') return;
    const used = place.node.fields.filter((field) => members.includes(field.key));
    const second = used[1];
    if (second === undefined) return;
    reportProblem(fieldPlace(place, second), `Only one of ${members.join(', ')} may be in one item; write two items`, {
      span: second.keySpan,
      path: fieldPath(place.path, second.key),
    });
  };
}

const ingressMembers = ['fromEndpoints', 'fromEntities', 'fromCIDR', 'fromCIDRSet', 'fromGroups', 'fromNodes'];
const egressMembers = [
  'toEndpoints',
  'toEntities',
  'toCIDR',
  'toCIDRSet',
  'toGroups',
  'toNodes',
  'toFQDNs',
  'toServices',
];

/** An item of `ingress`. */
export const ingressSchema: ObjectSchema<IngressFields> = {
  fields: { fromEndpoints: readEndpoints, fromEntities: readEntities, toPorts: readPortRules },
  refused: ingressRefusals,
  check: onePeerMember(ingressMembers),
};

/** An item of `egress`. */
export const egressSchema: ObjectSchema<EgressFields> = {
  fields: { toEndpoints: readEndpoints, toEntities: readEntities, toPorts: readPortRules },
  refused: egressRefusals,
  check: onePeerMember(egressMembers),
};

/** An item of `ingressDeny`. */
export const ingressDenySchema: ObjectSchema<IngressFields> = {
  ...ingressSchema,
  fields: { ...ingressSchema.fields, toPorts: readDenyPortRules },
};

/** An item of `egressDeny`. */
export const egressDenySchema: ObjectSchema<EgressFields> = {
  ...egressSchema,
  fields: { ...egressSchema.fields, toPorts: readDenyPortRules },
};

/** An item of a section as it was read, with its place, before it is known whose policy it is. */
export interface ReadItem {
  readonly direction: Direction;
  readonly verdict: 'allow' | 'deny';
  readonly item: SectionItem;
  readonly place: Place;
}

const ingressItem = ({ fromEndpoints, fromEntities, toPorts }: IngressFields): SectionItem => ({
  ...(fromEndpoints && { endpoints: fromEndpoints }),
  ...(fromEntities && { entities: fromEntities }),
  ...(toPorts && { toPorts }),
});

const egressItem = ({ toEndpoints, toEntities, toPorts }: EgressFields): SectionItem => ({
  ...(toEndpoints && { endpoints: toEndpoints }),
  ...(toEntities && { entities: toEntities }),
  ...(toPorts && { toPorts }),
});

function itemReader<T extends object>(
  schema: ObjectSchema<T>,
  kind: Pick<ReadItem, 'direction' | 'verdict'>,
  toItem: (fields: T) => SectionItem,
): Reader<readonly ReadItem[]> {
  const read = objectReader(schema);
  return listReader((place) => {
    const fields = read(place);
    return fields === undefined ? undefined : { ...kind, item: toItem(fields), place };
  });
}

/** Readers of the four sections of a rule. */
export const readSections = {
  ingress: itemReader(ingressSchema, { direction: 'ingress', verdict: 'allow' }, ingressItem),
  ingressDeny: itemReader(ingressDenySchema, { direction: 'ingress', verdict: 'deny' }, ingressItem),
  egress: itemReader(egressSchema, { direction: 'egress', verdict: 'allow' }, egressItem),
  egressDeny: itemReader(egressDenySchema, { direction: 'egress', verdict: 'deny' }, egressItem),
};

/** What selectors of a policy are resolved against. */
export interface RuleContext {
  readonly scope: PolicyScope;
  readonly clusterName: string;
  /** The rule's subject, in its scope. */
  readonly subject: SelectorSpec;
}

/** The peers of an item: any when no member names peers but ports are named, none when nothing is. */
function itemPeers(item: SectionItem, context: RuleContext): Grant['peers'] {
  const { endpoints, entities, toPorts } = item;
  if (endpoints === undefined && entities === undefined) return toPorts === undefined ? [] : 'any';
  const selectors = [
    ...(endpoints ?? []).map((selector) => scopePeer(selector, context.scope, context.subject)),
    ...(entities ?? []).flatMap((entity) => entitySelectors(entity, context.clusterName)),
  ];
  return selectors.some((selector) => selector.requirements.length === 0) ? 'any' : selectors;
}

/** What an item of a section grants: one grant for each of its port rules, or one for every port. */
export function itemGrants(read: ReadItem, context: RuleContext): Grant[] {
  const { item, verdict, place } = read;
  const peers = itemPeers(item, context);
  if (peers !== 'any' && peers.length === 0) return [];
  const common = { verdict, peers };
  if (item.toPorts === undefined) {
    const everything = [{ protocol: 0, port: 0 }];
    return [{ ...common, ports: everything, path: place.path, line: placeLine(place, 'first') }];
  }
  return item.toPorts.map((rule, index) => {
    const http = canonicalHttpRules(rule.rules?.http ?? []);
    return {
      ...common,
      ports: portMatches(rule),
      // An empty list of HTTP rules lets every request pass, which is what no list does.
      ...(http.length > 0 && { http }),
      path: `${fieldPath(place.path, 'toPorts')}[${index}]`,
      line: placeLine(place, 'first'),
    };
  });
}
