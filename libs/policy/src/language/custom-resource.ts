// SPDX-License-Identifier: Apache-2.0
import { anySchema, type JsonSchema } from '../document/json-schema.ts';
import { objectReader } from '../document/readers.ts';
import { defaultFeatures, type FeatureSet } from '../feature.ts';
import { type ObjectKind, objectSchema } from './policy-object.ts';

/** What Kubernetes must be told of a kind of policy, so that it stores it and refuses what could never be enforced. */
export interface CustomResource {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly names: CustomResourceNames;
    readonly versions: readonly object[];
    readonly [field: string]: unknown;
  };
}

/** What Kubernetes calls a kind. */
export interface CustomResourceNames {
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
}

interface Names {
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly scope: 'Namespaced' | 'Cluster';
}

const names: Readonly<Record<ObjectKind, Names>> = {
  CiliumNetworkPolicy: {
    plural: 'ciliumnetworkpolicies',
    singular: 'ciliumnetworkpolicy',
    shortNames: ['cnp', 'ciliumnp'],
    scope: 'Namespaced',
  },
  CiliumClusterwideNetworkPolicy: {
    plural: 'ciliumclusterwidenetworkpolicies',
    singular: 'ciliumclusterwidenetworkpolicy',
    shortNames: ['ccnp'],
    scope: 'Cluster',
  },
};

/** The kinds of policy that Kubernetes has to be told of. */
export const customResourceKinds = Object.keys(names) as readonly ObjectKind[];

// Conditions are told apart by their type: each has one writer, which does not overwrite the others'.
const statusSchema: JsonSchema = {
  type: 'object',
  ...anySchema,
  properties: {
    conditions: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: {
        type: 'object',
        ...anySchema,
        required: ['type', 'status'],
        properties: { type: { type: 'string' }, status: { type: 'string', enum: ['True', 'False', 'Unknown'] } },
      },
    },
  },
};

/**
 * The schema of a kind of policy, out of the tables that read it. What Kubernetes refuses by it the reader refuses, too;
 * the reader refuses more.
 */
export function policyObjectSchema(features: FeatureSet = defaultFeatures): JsonSchema {
  const origin = { scope: { kind: 'unscoped' }, clusterName: '', labels: [] } as const;
  const { properties, required = [], type = 'object' } = objectReader(objectSchema(origin)).schema(features);
  // Kubernetes knows these by itself, and takes nothing else than this about them.
  const known: Readonly<Record<string, JsonSchema>> = {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    status: statusSchema,
  };
  return {
    type,
    // That there must be a rule is left to the reader: Kubernetes takes no alternatives at the root of what has a status.
    properties: { ...properties, ...known },
    required: required.filter((field) => !(field in known)).concat('metadata'),
  };
}

/** The definition of a kind of policy. */
export function policyCustomResource(kind: ObjectKind, features: FeatureSet = defaultFeatures): CustomResource {
  const { scope, ...named } = names[kind];
  const [group, version] = ['cilium.io', 'v2'];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${named.plural}.${group}` },
    spec: {
      group,
      scope,
      names: { kind, listKind: `${kind}List`, ...named, categories: ['cilium', 'ciliumpolicy'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
            { name: 'Valid', type: 'string', jsonPath: ".status.conditions[?(@.type=='Valid')].status" },
          ],
          schema: { openAPIV3Schema: policyObjectSchema(features) },
        },
      ],
    },
  };
}
