// SPDX-License-Identifier: Apache-2.0
// NetworkPolicy of networking.k8s.io/v1. Its lists mean other things than those of the other kinds: one that is empty or
// absent stands for everything.
import { directions, type Direction, portMax, wellKnownLabelKey } from '@weir/model';
import type { MapNode } from '../document/document-node.ts';
import { descend, type Place, placeLine, reportProblem } from '../document/place.ts';
import {
  createReader,
  integerReader,
  listReader,
  objectReader,
  type ObjectSchema,
  readString,
  refineReader,
  wordReader,
} from '../document/readers.ts';
import { distinctPorts } from '../port-prefix.ts';
import type { Grant, Policy, Rule, RuleSection } from '../rule.ts';
import { createSelectorSpec, labelIs, type SelectorSpec, wildcardSelector } from '../selector-spec.ts';
import { checkExceptions, type CidrRule, cidrSelector, readPrefix } from './cidr-rule.ts';
import {
  canonicalDocument,
  defaultNamespace,
  derivedLabels,
  type MetadataFields,
  metadataSchema,
  peekMetadata,
} from './policy-object.ts';
import { checkRange, namedPortMatch, type PortFields, portMatches, readPortName } from './port-item.ts';
import { checkEffect } from './rule.ts';
import { inAnyNamespace, scopePeer } from './scope.ts';
import { readKubernetesSelector } from './selector.ts';

interface PeerFields {
  readonly podSelector?: SelectorSpec;
  readonly namespaceSelector?: SelectorSpec;
  readonly ipBlock?: CidrRule;
}

interface ItemPort {
  /** Absent: every port. */
  readonly port?: number | string;
  readonly endPort?: number;
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
}

interface ItemFields {
  readonly from?: readonly PeerFields[];
  readonly to?: readonly PeerFields[];
  readonly ports?: readonly ItemPort[];
}

interface SpecFields {
  readonly podSelector?: SelectorSpec;
  readonly ingress?: readonly ReadItem[];
  readonly egress?: readonly ReadItem[];
  readonly policyTypes?: readonly PolicyType[];
}

type PolicyType = 'Ingress' | 'Egress';

/** `ipBlock` of a peer. */
export const ipBlockSchema: ObjectSchema<CidrRule> = {
  fields: { cidr: readPrefix, except: listReader(readPrefix) },
  required: ['cidr'],
  check: checkExceptions,
};

/** An item of `from` and `to`. */
export const networkPeerSchema: ObjectSchema<PeerFields> = {
  fields: {
    podSelector: readKubernetesSelector,
    namespaceSelector: readKubernetesSelector,
    ipBlock: objectReader(ipBlockSchema),
  },
  needs: { ipBlock: { feature: 'cidr', what: 'peers by address' } },
  check(_peer, place) {
    const named = place.node.fields.map(({ key }) => key);
    if (named.length === 0) {
      reportProblem(place, 'Peer names nobody; expected podSelector, namespaceSelector or ipBlock');
    } else if (named.includes('ipBlock') && named.length > 1) {
      reportProblem(place, 'Only ipBlock, or selectors of pods and namespaces may be in one item; write two items');
    }
  },
};

const readPort = createReader<number | string>({ 'x-kubernetes-int-or-string': true }, (place) => {
  const { node } = place;
  if (node.kind === 'scalar' && typeof node.value === 'number') {
    const isPort = Number.isInteger(node.value) && node.value >= 1 && node.value <= portMax;
    return isPort ? node.value : reportProblem(place, `${node.text} is not a port (1–${portMax})`);
  }
  const text = readString(place);
  if (text !== undefined && /^\d+$/.test(text)) {
    return reportProblem(place, `"${text}" is a string and would be the name of a port; write it without quotes`);
  }
  return text === undefined ? undefined : readPortName(text, place);
});

/** An item of `ports`. */
export const networkPortSchema: ObjectSchema<ItemPort> = {
  fields: {
    port: readPort,
    endPort: integerReader(portMax),
    protocol: wordReader<'TCP' | 'UDP' | 'SCTP'>(['TCP', 'UDP', 'SCTP'], 'a protocol'),
  },
  needs: { endPort: { feature: 'portRanges', what: 'port ranges' } },
  check({ port, endPort }, place) {
    if (endPort !== undefined && descend(place, ['port']) === place) {
      reportProblem(descend(place, ['endPort']), `Range ends with ${endPort}, but has no first port`);
    } else if (endPort === 0) {
      reportProblem(descend(place, ['endPort']), `0 is not a port (1–${portMax})`);
    } else {
      checkRange({ ...(port !== undefined && { port }), ...(endPort !== undefined && { endPort }) }, place);
    }
  },
};

/** An item of a section with its place. */
interface ReadItem {
  readonly fields: ItemFields;
  readonly place: Place;
}

const readPeers = listReader(objectReader(networkPeerSchema));
const readPorts = listReader(objectReader(networkPortSchema));

/** An item of `ingress`. */
export const networkIngressSchema: ObjectSchema<Omit<ItemFields, 'to'>> = {
  fields: { from: readPeers, ports: readPorts },
};

/** An item of `egress`. */
export const networkEgressSchema: ObjectSchema<Omit<ItemFields, 'from'>> = {
  fields: { to: readPeers, ports: readPorts },
};

/** `spec` of a NetworkPolicy. */
export const networkPolicySpecSchema: ObjectSchema<SpecFields> = {
  fields: {
    podSelector: readKubernetesSelector,
    ingress: listReader(
      refineReader(objectReader(networkIngressSchema), (fields, place): ReadItem => ({ fields, place })),
    ),
    egress: listReader(
      refineReader(objectReader(networkEgressSchema), (fields, place): ReadItem => ({ fields, place })),
    ),
    policyTypes: listReader(wordReader<PolicyType>(['Ingress', 'Egress'], 'a type of policy')),
  },
};

/** A namespace's labels as they are found on its pods. */
function namespaceRequirements(selector: SelectorSpec): SelectorSpec['requirements'] {
  const { namespaceLabelPrefix } = wellKnownLabelKey;
  const named = selector.requirements.map((one) => ({ ...one, key: namespaceLabelPrefix + one.key }));
  // What only says which labels a namespace must not have holds for the host and the world, too, which are in none.
  const isPositive = named.some(({ operator }) => operator === 'In' || operator === 'Exists');
  return isPositive ? named : [...named, inAnyNamespace];
}

function peerSelector({ podSelector, namespaceSelector, ipBlock }: PeerFields, namespace: string): SelectorSpec {
  if (ipBlock !== undefined) return cidrSelector(ipBlock);
  const where =
    namespaceSelector === undefined
      ? [labelIs('k8s', wellKnownLabelKey.namespace, namespace)]
      : namespaceRequirements(namespaceSelector);
  const selector = createSelectorSpec([...where, ...(podSelector?.requirements ?? [])]);
  return scopePeer(selector, { kind: 'unscoped' }, wildcardSelector);
}

/** What an item allows: the union of its peers on the union of its ports. */
function itemGrant({ fields, place }: ReadItem, namespace: string): Grant {
  const { ports = [], from, to } = fields;
  const peers = from ?? to ?? [];
  const written = ports.map((port): PortFields => ({ protocol: 'TCP', ...port, port: port.port ?? 0 }));
  const namedPorts = written.flatMap(namedPortMatch);
  const everything = [{ protocol: 0, port: 0, prefixLength: 0 }];
  return {
    verdict: 'allow',
    peers: peers.length === 0 ? 'any' : peers.map((peer) => peerSelector(peer, namespace)),
    ports: ports.length === 0 ? everything : distinctPorts(written.flatMap(portMatches)),
    ...(namedPorts.length > 0 && { namedPorts }),
    path: place.path,
    line: placeLine(place, 'first'),
  };
}

/** Which directions a policy is about: ingress, and egress where it has items for it, unless it says so itself. */
function policyTypesOf({ policyTypes = [], egress = [] }: SpecFields): readonly PolicyType[] {
  if (policyTypes.length > 0) return policyTypes;
  return egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

function section(spec: SpecFields, direction: Direction, at: { place: Place; namespace: string }): RuleSection {
  const type: PolicyType = direction === 'ingress' ? 'Ingress' : 'Egress';
  const items = spec[direction] ?? [];
  if (policyTypesOf(spec).includes(type)) {
    return { defaultDeny: true, grants: items.map((item) => itemGrant(item, at.namespace)) };
  }
  if (items.length > 0) {
    const message = `Rules for ${direction} have no effect: policyTypes does not have ${type}`;
    reportProblem(descend(at.place, [direction]), message, { severity: 'warning' });
  }
  return { defaultDeny: false, grants: [] };
}

const readSpec = objectReader(networkPolicySpecSchema);

function specRule(place: Place, metadata: MetadataFields | undefined): Rule | undefined {
  const spec = readSpec(place);
  if (spec === undefined || metadata === undefined) return undefined;
  const { namespace = defaultNamespace } = metadata;
  const selected = spec.podSelector ?? wildcardSelector;
  const [ingress, egress] = directions.map((direction) => section(spec, direction, { place, namespace }));
  const rule: Rule = {
    subject: createSelectorSpec([...selected.requirements, labelIs('k8s', wellKnownLabelKey.namespace, namespace)]),
    labels: derivedLabels('NetworkPolicy', metadata).sort(),
    lines: { first: placeLine(place, 'first'), last: placeLine(place, 'last') },
    ingress: ingress ?? { defaultDeny: false, grants: [] },
    egress: egress ?? { defaultDeny: false, grants: [] },
  };
  checkEffect(rule, place);
  return rule;
}

interface ObjectFields {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: MetadataFields;
  readonly spec: Rule;
}

/** The one version of the API that is read. */
const apiVersion = 'networking.k8s.io/v1';

/** The schema of a NetworkPolicy with some metadata. */
export function networkPolicySchema(metadata: MetadataFields | undefined): ObjectSchema<ObjectFields> {
  return {
    fields: {
      apiVersion: wordReader([apiVersion], 'the API version of a NetworkPolicy'),
      kind: readString,
      metadata: objectReader(metadataSchema),
      spec: createReader(readSpec.schema, (place) => specRule(place, metadata)),
    },
    required: ['apiVersion', 'metadata', 'spec'],
    ignored: ['status'],
  };
}

/** Reads a `NetworkPolicy`. */
export function readNetworkPolicy(place: Place<MapNode>): Policy | undefined {
  const fields = objectReader(networkPolicySchema(peekMetadata(place)))(place);
  if (fields === undefined) return undefined;
  const { name, namespace = defaultNamespace } = fields.metadata;
  const kind = 'NetworkPolicy';
  return {
    key: `${kind}/${namespace}/${name}`,
    kind,
    namespace,
    name,
    source: { file: place.file.name, line: placeLine(place, 'first') },
    rules: [fields.spec],
    document: canonicalDocument(place, { apiVersion, kind }, fields.metadata),
  };
}
