// SPDX-License-Identifier: Apache-2.0
import type { Direction, Entity } from '@weir/model';
import { allNotEnforced, notEnforced } from '../document/not-enforced.ts';
import { fieldPath, fieldPlace, type Place, reportProblem } from '../document/place.ts';
import {
  createReader,
  type FieldNeed,
  listReader,
  objectReader,
  type ObjectSchema,
  type Reader,
} from '../document/readers.ts';
import type { ServiceMatch } from '../rule.ts';
import type { SelectorSpec } from '../selector-spec.ts';
import { type CidrRule, readCidrs, readCidrSet } from './cidr-rule.ts';
import { readEntity } from './entities.ts';
import { checkPortsOrIcmps, type IcmpRule, readIcmps } from './icmp-rule.ts';
import { type PortRule, readDenyPortRules, readPortRules } from './port-rule.ts';
import { readSelector } from './selector.ts';
import { checkServicesWithoutPorts, readServices } from './service-rule.ts';

/** An item of `ingress`, `egress`, `ingressDeny` or `egressDeny`, with the members of both directions under one name. */
export interface SectionItem {
  readonly endpoints?: readonly SelectorSpec[] | undefined;
  readonly entities?: readonly Entity[] | undefined;
  readonly cidrs?: readonly CidrRule[] | undefined;
  readonly nodes?: readonly SelectorSpec[] | undefined;
  readonly services?: readonly ServiceMatch[] | undefined;
  readonly requires?: readonly SelectorSpec[] | undefined;
  readonly toPorts?: readonly PortRule[] | undefined;
  readonly icmps?: readonly IcmpRule[] | undefined;
}

interface SharedFields {
  readonly toPorts?: readonly PortRule[];
  readonly icmps?: readonly IcmpRule[];
}

interface IngressFields extends SharedFields {
  readonly fromEndpoints?: readonly SelectorSpec[];
  readonly fromEntities?: readonly Entity[];
  readonly fromCIDR?: readonly CidrRule[];
  readonly fromCIDRSet?: readonly CidrRule[];
  readonly fromNodes?: readonly SelectorSpec[];
  readonly fromRequires?: readonly SelectorSpec[];
}

interface EgressFields extends SharedFields {
  readonly toEndpoints?: readonly SelectorSpec[];
  readonly toEntities?: readonly Entity[];
  readonly toCIDR?: readonly CidrRule[];
  readonly toCIDRSet?: readonly CidrRule[];
  readonly toNodes?: readonly SelectorSpec[];
  readonly toRequires?: readonly SelectorSpec[];
  readonly toServices?: readonly ServiceMatch[];
}

const readSelectors = listReader(readSelector);
const readEntities = listReader(readEntity);

const cidrNeed: FieldNeed = { feature: 'cidr', what: 'peers by address' };
const nodesNeed: FieldNeed = {
  feature: 'nodeLabels',
  what: 'peers by labels of nodes, as identities of nodes do not carry them',
};
const icmpNeed: FieldNeed = { feature: 'icmp', what: 'types of ICMP message' };

/** Two ways to name peers in one item would have to be both true of a peer; the baseline refuses this, too. */
function checkPeerMembers(members: readonly string[], place: Place): void {
  if (place.node.kind !== 'map') return;
  const second = place.node.fields.filter((field) => members.includes(field.key))[1];
  if (second === undefined) return;
  reportProblem(fieldPlace(place, second), `Only one of ${members.join(', ')} may be in one item; write two items`, {
    span: second.keySpan,
    path: fieldPath(place.path, second.key),
  });
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
  fields: {
    fromEndpoints: readSelectors,
    fromEntities: readEntities,
    fromCIDR: readCidrs,
    fromCIDRSet: readCidrSet,
    fromNodes: readSelectors,
    fromRequires: readSelectors,
    toPorts: readPortRules,
    icmps: readIcmps,
  },
  needs: { fromCIDR: cidrNeed, fromCIDRSet: cidrNeed, fromNodes: nodesNeed, icmps: icmpNeed },
  refused: allNotEnforced({
    authentication: 'mutual authentication',
    fromGroups: 'peers by group of a cloud provider',
  }),
  check(_fields, place) {
    checkPeerMembers(ingressMembers, place);
    checkPortsOrIcmps(place);
  },
};

/** An item of `egress`. */
export const egressSchema: ObjectSchema<EgressFields> = {
  fields: {
    toEndpoints: readSelectors,
    toEntities: readEntities,
    toCIDR: readCidrs,
    toCIDRSet: readCidrSet,
    toNodes: readSelectors,
    toRequires: readSelectors,
    toServices: readServices,
    toPorts: readPortRules,
    icmps: readIcmps,
  },
  needs: {
    toCIDR: cidrNeed,
    toCIDRSet: cidrNeed,
    toNodes: nodesNeed,
    toServices: { feature: 'services', what: 'peers by service' },
    icmps: icmpNeed,
  },
  refused: allNotEnforced({
    authentication: 'mutual authentication',
    toFQDNs: 'peers by DNS name',
    toGroups: 'peers by group of a cloud provider',
  }),
  check(_fields, place) {
    checkPeerMembers(egressMembers, place);
    checkPortsOrIcmps(place);
    checkServicesWithoutPorts(place);
  },
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
  // Names are known only after the fact, so that a denial by name has holes; the reference refuses it, too.
  refused: { ...egressSchema.refused, toFQDNs: notEnforced('denials by DNS name') },
};

/** An item of a section as it was read, with its place, before it is known whose policy it is. */
export interface ReadItem {
  readonly direction: Direction;
  readonly verdict: 'allow' | 'deny';
  readonly item: SectionItem;
  readonly place: Place;
}

/** Both fields are never there at once. */
const cidrsOf = (cidrs?: readonly CidrRule[], cidrSet?: readonly CidrRule[]): readonly CidrRule[] | undefined =>
  cidrs ?? cidrSet;

const ingressItem = (fields: IngressFields): SectionItem => ({
  endpoints: fields.fromEndpoints,
  entities: fields.fromEntities,
  cidrs: cidrsOf(fields.fromCIDR, fields.fromCIDRSet),
  nodes: fields.fromNodes,
  requires: fields.fromRequires,
  toPorts: fields.toPorts,
  icmps: fields.icmps,
});

const egressItem = (fields: EgressFields): SectionItem => ({
  endpoints: fields.toEndpoints,
  entities: fields.toEntities,
  cidrs: cidrsOf(fields.toCIDR, fields.toCIDRSet),
  nodes: fields.toNodes,
  services: fields.toServices,
  requires: fields.toRequires,
  toPorts: fields.toPorts,
  icmps: fields.icmps,
});

function itemReader<T extends object>(
  schema: ObjectSchema<T>,
  kind: Pick<ReadItem, 'direction' | 'verdict'>,
  toItem: (fields: T) => SectionItem,
): Reader<readonly ReadItem[]> {
  const read = objectReader(schema);
  return listReader(
    createReader(read.schema, (place) => {
      const fields = read(place);
      return fields === undefined ? undefined : { ...kind, item: toItem(fields), place };
    }),
  );
}

/** Readers of the four sections of a rule. */
export const readSections = {
  ingress: itemReader(ingressSchema, { direction: 'ingress', verdict: 'allow' }, ingressItem),
  ingressDeny: itemReader(ingressDenySchema, { direction: 'ingress', verdict: 'deny' }, ingressItem),
  egress: itemReader(egressSchema, { direction: 'egress', verdict: 'allow' }, egressItem),
  egressDeny: itemReader(egressDenySchema, { direction: 'egress', verdict: 'deny' }, egressItem),
};
