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
}

export interface WrittenPort {
  readonly port: string;
  readonly protocol?: string;
}

export interface WrittenPortRule {
  readonly ports: readonly WrittenPort[];
  readonly rules?: { readonly http?: readonly WrittenHttpRule[] };
}

export interface WrittenItem {
  readonly fromEndpoints?: readonly WrittenSelector[];
  readonly toEndpoints?: readonly WrittenSelector[];
  readonly fromEntities?: readonly string[];
  readonly toEntities?: readonly string[];
  readonly toPorts?: readonly WrittenPortRule[];
}

export interface WrittenRule {
  readonly endpointSelector: WrittenSelector;
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

export type WrittenDocument = WrittenObject | readonly WrittenRule[];
