// SPDX-License-Identifier: Apache-2.0
import type { V1Service } from '@kubernetes/client-node';
import type { Service } from '@weir/model';

/** What is of interest about a service. */
export interface KubernetesService {
  readonly namespace: string;
  readonly name: string;
  /** Where clients call it. */
  readonly addresses: readonly string[];
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
  /** 0: clients do not stay with a backend. */
  readonly affinityTimeoutS: number;
  /** Whether only what runs on the client's node serves it. */
  readonly isLocal: boolean;
  readonly labels: NonNullable<Service['labels']>;
  /** Absent: somebody else says what is behind it. */
  readonly selector?: NonNullable<Service['selector']>;
}

const affinityTimeoutSDefault = 10_800;

/** Addresses of the service that clients within the cluster may call. */
function addressesOf({ spec, status }: V1Service): string[] {
  const clusterIps = spec?.clusterIPs ?? (spec?.clusterIP ? [spec.clusterIP] : []);
  const ingress = status?.loadBalancer?.ingress ?? [];
  // A proxy may want to see the packets itself.
  const balancers = ingress.flatMap(({ ip, ipMode = 'VIP' }) => (ip !== undefined && ipMode === 'VIP' ? [ip] : []));
  return [...new Set([...clusterIps, ...(spec?.externalIPs ?? []), ...balancers])];
}

/** Services without an address of their own are names, and of no interest. */
export function readService(service: V1Service): KubernetesService | undefined {
  const { metadata, spec } = service;
  if (spec?.type === 'ExternalName' || !spec?.clusterIP || spec.clusterIP === 'None') return undefined;
  const { selector = {} } = spec;
  const timeoutS = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinityTimeoutSDefault;
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    addresses: addressesOf(service),
    ports: (spec.ports ?? []).map(({ name = '', port, protocol = 'TCP' }) => ({ name, port, protocol })),
    affinityTimeoutS: spec.sessionAffinity === 'ClientIP' ? timeoutS : 0,
    isLocal: spec.internalTrafficPolicy === 'Local',
    labels: metadata?.labels ?? {},
    ...(Object.keys(selector).length > 0 && { selector }),
  };
}
