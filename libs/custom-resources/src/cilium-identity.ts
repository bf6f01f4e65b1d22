// SPDX-License-Identifier: Apache-2.0
import { defineKind, objectSchema } from './definition.ts';

/** A number, which is the object's name, and the labels that it stands for. */
export interface CiliumIdentity {
  readonly apiVersion: 'cilium.io/v2';
  readonly kind: 'CiliumIdentity';
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  /** `source:key` → value. */
  readonly 'security-labels': Readonly<Record<string, string>>;
}

/** The definition of `CiliumIdentity`. */
export const ciliumIdentityDefinition = defineKind({
  kind: 'CiliumIdentity',
  plural: 'ciliumidentities',
  singular: 'ciliumidentity',
  shortNames: ['ciliumid'],
  scope: 'Cluster',
  columns: [
    {
      name: 'Namespace',
      type: 'string',
      jsonPath: '.metadata.labels.io\\.kubernetes\\.pod\\.namespace',
      description: 'The namespace of the pods that have it',
    },
  ],
  schema: objectSchema(
    {
      'security-labels': {
        type: 'object',
        description: 'The labels that the number stands for, each with its source: "source:key" and value',
        additionalProperties: { type: 'string' },
      },
    },
    ['security-labels'],
  ),
});
