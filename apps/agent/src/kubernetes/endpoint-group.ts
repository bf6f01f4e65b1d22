// SPDX-License-Identifier: Apache-2.0
import type { CoreV1EndpointPort, V1Endpoints, V1EndpointSlice } from '@kubernetes/client-node';

/** Addresses behind a service, and the ports that all of them have. */
export interface EndpointGroup {
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly endpoints: readonly {
    readonly address: string;
    /** It still serves, but is about to go. */
    readonly isTerminating: boolean;
    /** Empty where it is not known. */
    readonly node: string;
    readonly zone: string;
  }[];
}

/** What one object says is behind a service. */
export interface ServiceEndpoints {
  /** `namespace/name` of the service. */
  readonly service: string;
  readonly groups: readonly EndpointGroup[];
}

/** An endpoint of `discovery.k8s.io/v1beta1`, which says where it is in other words. */
type OldEndpoint = NonNullable<V1EndpointSlice['endpoints']>[number] & {
  readonly topology?: Readonly<Record<string, string>>;
};

const serviceNameLabel = 'kubernetes.io/service-name';

const portsOf = (ports: readonly Pick<CoreV1EndpointPort, 'name' | 'port'>[] = []): EndpointGroup['ports'] =>
  ports.map(({ name, port }) => ({ name: name ?? '', port }));

/** What serves, or would if everything else were gone. */
function endpointOf(endpoint: OldEndpoint): EndpointGroup['endpoints'] {
  const { addresses, conditions = {}, topology = {} } = endpoint;
  const isReady = conditions.ready ?? true;
  const isTerminating = !isReady && conditions.terminating === true && conditions.serving === true;
  const [address] = addresses;
  if (address === undefined || !(isReady || isTerminating)) return [];
  const node = endpoint.nodeName ?? topology['kubernetes.io/hostname'] ?? '';
  return [{ address, isTerminating, node, zone: endpoint.zone ?? topology['topology.kubernetes.io/zone'] ?? '' }];
}

/** Slices of any version; those of names, and of no service, are of no interest. */
export function readEndpointSlice(slice: V1EndpointSlice): ServiceEndpoints | undefined {
  const { metadata, addressType, endpoints, ports } = slice;
  const name = metadata?.labels?.[serviceNameLabel];
  if (name === undefined || addressType === 'FQDN') return undefined;
  const known = (ports ?? []).flatMap(({ name: portName, port }) =>
    port === undefined ? [] : [{ ...(portName !== undefined && { name: portName }), port }],
  );
  const group = { ports: portsOf(known), endpoints: (endpoints ?? []).flatMap(endpointOf) };
  return { service: `${metadata?.namespace}/${name}`, groups: [group] };
}

/** What servers had before there were slices. */
export function readEndpoints({ metadata, subsets }: V1Endpoints): ServiceEndpoints {
  const groups = (subsets ?? []).map(({ ports, addresses }) => ({
    ports: portsOf(ports),
    endpoints: (addresses ?? []).map(({ ip, nodeName }) => ({
      ...{ address: ip, isTerminating: false, node: nodeName ?? '', zone: '' },
    })),
  }));
  return { service: `${metadata?.namespace}/${metadata?.name}`, groups };
}
