// SPDX-License-Identifier: Apache-2.0
import type { CustomResource, JsonSchema } from '@weir/policy';
import packageJson from '../package.json' with { type: 'json' };

/** What Kubernetes must be told of a kind of object, so that it keeps it and refuses what is none. */
export interface CustomResourceDefinition extends CustomResource {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
}

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'date' | 'integer' | 'string';
  readonly jsonPath: string;
  readonly description?: string;
  /** 0: always shown; else only with `-o wide`. */
  readonly priority?: number;
}

export interface KindDescription {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly scope: 'Cluster' | 'Namespaced';
  /** Beside the age, which every kind shows. */
  readonly columns: readonly PrinterColumn[];
  readonly schema: JsonSchema;
}

/** The group of all kinds: those that people have, under the names that they know. */
export const customResourceGroup = 'cilium.io';
/** The one version of all kinds. */
export const customResourceVersion = 'v2';

/**
 * The label of a definition that says which version of Weir has written it. Whoever is older leaves the definition alone: with
 * several versions at work, the newest schema stays.
 */
export const schemaVersionLabel = 'weir.io/schema-version';
/** What this version writes there. */
export const schemaVersion = packageJson.version;

const age: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** The definition of a kind. */
export function defineKind(description: KindDescription): CustomResourceDefinition {
  const { scope, columns, schema, ...names } = description;
  return withSchemaVersion({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${names.plural}.${customResourceGroup}` },
    spec: {
      group: customResourceGroup,
      scope,
      names: { ...names, listKind: `${names.kind}List`, categories: ['cilium'] },
      versions: [
        {
          ...{ name: customResourceVersion, served: true, storage: true, subresources: { status: {} } },
          additionalPrinterColumns: [...columns, age],
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  });
}

/** The definition with the label that says who wrote it. */
export const withSchemaVersion = (definition: CustomResourceDefinition): CustomResourceDefinition => ({
  ...definition,
  metadata: { ...definition.metadata, labels: { [schemaVersionLabel]: schemaVersion } },
});

/** An object as Kubernetes has it, with these fields beside its metadata. */
export const objectSchema = (
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[] = [],
): JsonSchema => ({
  type: 'object',
  required: ['metadata', ...required],
  properties: { apiVersion: text, kind: text, metadata: { type: 'object' }, ...properties },
});

/** Any text. */
export const text: JsonSchema = { type: 'string' };

/** A list of objects with these fields. */
export const listOf = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: 'array',
  items: { type: 'object', properties },
});
