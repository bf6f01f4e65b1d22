// SPDX-License-Identifier: Apache-2.0
import {
  type BackendState,
  isIpv4,
  type Service,
  type ServiceBackend,
  type ServiceFrontend,
  serviceProtocols,
  tryParseIpAddress,
} from '@weir/model';
import type { EndpointGroup } from './endpoint-group.ts';
import type { KubernetesService } from './service-object.ts';

const isBalanced = (protocol: string): protocol is ServiceFrontend['protocol'] =>
  (serviceProtocols as readonly string[]).includes(protocol);

const isSameFamily = (a: string, b: string): boolean => {
  const [first, second] = [tryParseIpAddress(a), tryParseIpAddress(b)];
  return first !== undefined && second !== undefined && isIpv4(first) === isIpv4(second);
};

function frontendsOf({ addresses, ports }: KubernetesService): ServiceFrontend[] {
  return addresses.flatMap((address) =>
    ports.flatMap(({ port, protocol, name }): ServiceFrontend[] =>
      isBalanced(protocol) ? [{ address, port, protocol, portName: name }] : [],
    ),
  );
}

/** What of a service cannot be balanced: undefined when nothing. */
function whatIsLeftOut({ ports }: KubernetesService): string | undefined {
  const left = ports.filter(({ protocol }) => !isBalanced(protocol));
  const texts = left.map(({ port, protocol }) => `${port}/${protocol}`);
  return texts.length === 0
    ? undefined
    : `${texts.join(', ')} is not balanced: expected ${serviceProtocols.join(' or ')}`;
}

/** Each backend once: slices may overlap while endpoints move from one to the other. */
function backendsOf(
  service: KubernetesService,
  { groups, node }: { readonly groups: readonly EndpointGroup[]; readonly node: string },
): ServiceBackend[] {
  const names = new Set(service.ports.map(({ name }) => name));
  const backends = new Map<string, ServiceBackend>();
  for (const { ports, endpoints } of groups) {
    for (const { name: portName, port } of ports.filter(({ name }) => names.has(name))) {
      for (const { address, isTerminating, node: at, zone } of endpoints) {
        if (service.isLocal && at !== node) continue;
        if (!service.addresses.some((frontend) => isSameFamily(frontend, address))) continue;
        const state: BackendState = isTerminating ? 'terminating' : 'active';
        const key = `${portName} ${address} ${port}`;
        if (backends.get(key)?.state === 'active') continue;
        backends.set(key, { address, port, portName, weight: 1, state, node: at, zone });
      }
    }
  }
  return [...backends.values()].sort((a, b) => textOf(a).localeCompare(textOf(b)));
}

const textOf = ({ portName, address, port }: ServiceBackend): string => `${portName} ${address} ${port}`;

/** A service as the node's datapath has it, and what of it is left out. */
export function renderService(
  service: KubernetesService,
  behind: { readonly groups: readonly EndpointGroup[]; readonly node: string },
): { readonly service: Service; readonly leftOut: string | undefined } {
  const { namespace, name, labels, selector, affinityTimeoutS } = service;
  return {
    service: {
      ...{ namespace, name, owner: 'kubernetes', affinityTimeoutS, labels },
      ...(selector && { selector }),
      frontends: frontendsOf(service),
      backends: backendsOf(service, behind),
    },
    leftOut: whatIsLeftOut(service),
  };
}
