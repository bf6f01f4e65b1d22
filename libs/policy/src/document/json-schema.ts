// SPDX-License-Identifier: Apache-2.0
import type { FeatureSet } from '../feature.ts';

/** The part of OpenAPI 3 schemas that Kubernetes takes for its objects and that readers can say of what they read. */
export interface JsonSchema {
  readonly type?: 'array' | 'boolean' | 'integer' | 'object' | 'string';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly not?: JsonSchema;
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-list-type'?: 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** A schema, which depends on what is enforced. */
export type SchemaSource = (features: FeatureSet) => JsonSchema;

/** Anything at all. */
export const anySchema: JsonSchema = { 'x-kubernetes-preserve-unknown-fields': true };

/**
 * Nothing at all. The field is declared, so that Kubernetes refuses an object that has it; one that it does not know it
 * would cut out, and the rest would mean something else.
 */
export const refusedSchema = (description: string): JsonSchema => ({ ...anySchema, description, not: {} });
