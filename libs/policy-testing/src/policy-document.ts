// SPDX-License-Identifier: Apache-2.0

/** Policy documents as they are written, for tests that make them up. */
export interface WrittenSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

export interface WrittenHttpRule {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: readonly string[];
  readonly headerMatches?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly mismatch?: 'LOG' | 'ADD' | 'DELETE' | 'REPLACE';
  }[];
}

export interface WrittenPort {
  readonly port: string;
  readonly endPort?: number;
  readonly protocol?: string;
}

export interface WrittenPortRule {
  readonly ports: readonly WrittenPort[];
  readonly rules?: { readonly http?: readonly WrittenHttpRule[] };
}

export interface WrittenCidrRule {
  readonly cidr: string;
  readonly except?: readonly string[];
}

export interface WrittenIcmpRule {
  readonly fields: readonly { readonly family?: 'IPv4' | 'IPv6'; readonly type: number | string }[];
}

export interface WrittenService {
  readonly k8sService?: { readonly serviceName: string; readonly namespace?: string };
  readonly k8sServiceSelector?: { readonly selector: WrittenSelector; readonly namespace?: string };
}

export interface WrittenItem {
  readonly fromEndpoints?: readonly WrittenSelector[];
  readonly toEndpoints?: readonly WrittenSelector[];
  readonly fromEntities?: readonly string[];
  readonly toEntities?: readonly string[];
  readonly fromCIDR?: readonly string[];
  readonly toCIDR?: readonly string[];
  readonly fromCIDRSet?: readonly WrittenCidrRule[];
  readonly toCIDRSet?: readonly WrittenCidrRule[];
  readonly fromNodes?: readonly WrittenSelector[];
  readonly toNodes?: readonly WrittenSelector[];
  readonly toServices?: readonly WrittenService[];
  readonly fromRequires?: readonly WrittenSelector[];
  readonly toRequires?: readonly WrittenSelector[];
  readonly toPorts?: readonly WrittenPortRule[];
  readonly icmps?: readonly WrittenIcmpRule[];
}

export interface WrittenRule {
  readonly endpointSelector?: WrittenSelector;
  readonly nodeSelector?: WrittenSelector;
  readonly ingress?: readonly WrittenItem[];
  readonly ingressDeny?: readonly WrittenItem[];
  readonly egress?: readonly WrittenItem[];
  readonly egressDeny?: readonly WrittenItem[];
  readonly enableDefaultDeny?: { readonly ingress?: boolean; readonly egress?: boolean };
  readonly labels?: readonly string[];
}

export interface WrittenObject {
  readonly apiVersion: 'cilium.io/v2';
  readonly kind: 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy';
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: WrittenRule;
  readonly specs?: readonly WrittenRule[];
}

export interface WrittenNetworkPeer {
  readonly podSelector?: WrittenSelector;
  readonly namespaceSelector?: WrittenSelector;
  readonly ipBlock?: WrittenCidrRule;
}

export interface WrittenNetworkItem {
  readonly from?: readonly WrittenNetworkPeer[];
  readonly to?: readonly WrittenNetworkPeer[];
  readonly ports?: readonly {
    readonly port?: number | string;
    readonly endPort?: number;
    readonly protocol?: 'TCP' | 'UDP' | 'SCTP';
  }[];
}

export interface WrittenNetworkPolicy {
  readonly apiVersion: 'networking.k8s.io/v1';
  readonly kind: 'NetworkPolicy';
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: {
    readonly podSelector?: WrittenSelector;
    readonly ingress?: readonly WrittenNetworkItem[];
    readonly egress?: readonly WrittenNetworkItem[];
    readonly policyTypes?: readonly ('Ingress' | 'Egress')[];
  };
}

export type WrittenDocument = WrittenObject | WrittenNetworkPolicy | readonly WrittenRule[];
