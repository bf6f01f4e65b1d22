// SPDX-License-Identifier: Apache-2.0
import { formatCidr, type NamedPort, wellKnownLabelKey } from '@weir/model';
import { isServiceMeant, type KnownServiceName, kubernetesLabels } from '../policy-services.ts';
import type { NamedPortMatch, ServiceMatch } from '../rule.ts';
import {
  type Attribute,
  type AttributeSet,
  createSelectorSpec,
  labelExists,
  labelIs,
  type Requirement,
  type SelectorSpec,
} from '../selector-spec.ts';
import type { LabelledIdentity, ServiceDescription, ServiceName } from './engine-types.ts';

/** What rules may refer to besides labels: services, and the named ports of peers. */
export interface References {
  /** Adds or replaces a service that {@link checkService} takes. */
  putService(service: ServiceDescription): void;
  deleteService(service: ServiceName): void;
  /** Selectors of all that is behind the services of a match. */
  peersOf(match: ServiceMatch): SelectorSpec[];
  /** Counts the named ports of an identity in or out. */
  countPorts(ports: readonly NamedPort[] | undefined, step: 1 | -1): void;
  /** The ports that identities give a name, each once. */
  portsNamed(match: NamedPortMatch): NamedPort[];
  /** Whether something that a rule refers to has changed since the last {@link References.settle}. */
  hasChanged(uses: RuleReferences): boolean;
  settle(): void;
}

/** What a rule refers to. */
export interface RuleReferences {
  readonly services: readonly ServiceMatch[];
  /** Names of ports of peers. */
  readonly portNames: readonly string[];
}

interface KnownService extends KnownServiceName {
  readonly peers: readonly SelectorSpec[];
}

function knownService(description: ServiceDescription): KnownService {
  const { namespace, name, selector = {}, addresses = [] } = description;
  const wanted = kubernetesLabels(selector).labels.map(({ key, value }) => labelIs('k8s', key, value));
  const isIn = labelIs('k8s', wellKnownLabelKey.namespace, namespace);
  return {
    ...{ namespace, name, labelSet: kubernetesLabels(description.labels) },
    peers:
      wanted.length > 0
        ? [createSelectorSpec([isIn, ...wanted])]
        : addresses.map((prefix) => createSelectorSpec([labelExists('cidr', formatCidr(prefix))])),
  };
}

/** Throws INVALID_ARGUMENT for a service with labels that cannot be. */
export function checkService(service: ServiceDescription): void {
  knownService(service);
}

const serviceKey = ({ namespace, name }: ServiceName): string => `${namespace}/${name}`;

const portKey = ({ name, protocol, port }: NamedPort): string => `${name}/${protocol}/${port}`;

/** The requirement that a peer gives a port this name. */
export const hasNamedPort = (port: NamedPort): Requirement => labelExists('port', portKey(port));

/** What selectors see of an identity: its labels and its named ports. */
export function attributesOf({ labels, namedPorts = [] }: LabelledIdentity): AttributeSet {
  if (namedPorts.length === 0) return labels;
  const ports = namedPorts
    .map((port): Attribute => ({ source: 'port', key: portKey({ ...port, name: port.name.toLowerCase() }), value: '' }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  return { labels: [...labels.labels, ...ports], key: labels.key + ports.map(({ key }) => `port:${key};`).join('') };
}

/** Makes references to nothing. */
export function createReferences(): References {
  const services = new Map<string, KnownService>();
  const ports = new Map<string, Map<string, { readonly port: NamedPort; count: number }>>();
  const changedServices: KnownService[] = [];
  const changedNames = new Set<string>();

  function noteChange(service: KnownService | undefined): void {
    if (service !== undefined) changedServices.push(service);
  }

  return {
    putService(service) {
      const known = knownService(service);
      noteChange(services.get(serviceKey(service)));
      noteChange(known);
      services.set(serviceKey(service), known);
    },
    deleteService(service) {
      noteChange(services.get(serviceKey(service)));
      services.delete(serviceKey(service));
    },
    peersOf: (match) =>
      [...services.values()].flatMap((service) => (isServiceMeant(service, match) ? service.peers : [])),
    countPorts(counted, step) {
      for (const given of counted ?? []) {
        const port = { ...given, name: given.name.toLowerCase() };
        const named = ports.get(port.name) ?? new Map();
        ports.set(port.name, named);
        const known = named.get(portKey(port)) ?? { port, count: 0 };
        named.set(portKey(port), known);
        known.count += step;
        if (known.count === 0) named.delete(portKey(port));
        if (known.count === 0 || (step === 1 && known.count === 1)) changedNames.add(port.name);
      }
    },
    portsNamed: ({ name, protocol }) =>
      [...(ports.get(name)?.values() ?? [])]
        .map(({ port }) => port)
        .filter((port) => protocol === 0 || port.protocol === protocol),
    hasChanged: (uses) =>
      uses.portNames.some((name) => changedNames.has(name)) ||
      uses.services.some((match) => changedServices.some((service) => isServiceMeant(service, match))),
    settle() {
      changedServices.length = 0;
      changedNames.clear();
    },
  };
}
