// SPDX-License-Identifier: Apache-2.0
import type { JsonSchema } from '@weir/policy';
import { defineKind, listOf, objectSchema, text } from './definition.ts';

/** A pod's place in the network; it has the pod's name. */
export interface CiliumEndpoint {
  readonly apiVersion: 'cilium.io/v2';
  readonly kind: 'CiliumEndpoint';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly object[];
  };
  readonly status?: {
    /** Of the endpoint on its node. */
    readonly id?: number;
    readonly identity?: { readonly id: number; readonly labels: readonly string[] };
    readonly networking?: {
      readonly addressing: readonly { readonly ipv4?: string; readonly ipv6?: string }[];
      /** The node's address. */
      readonly node?: string;
    };
    readonly 'named-ports'?: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
    readonly policy?: {
      readonly ingress?: { readonly enforcing: boolean; readonly state?: string };
      readonly egress?: { readonly enforcing: boolean; readonly state?: string };
    };
    readonly state?: string;
  };
}

const others: JsonSchema = { 'x-kubernetes-preserve-unknown-fields': true };
const direction: JsonSchema = {
  type: 'object',
  ...others,
  properties: { enforcing: { type: 'boolean' }, state: text },
};

/** The definition of `CiliumEndpoint`. */
export const ciliumEndpointDefinition = defineKind({
  kind: 'CiliumEndpoint',
  plural: 'ciliumendpoints',
  singular: 'ciliumendpoint',
  shortNames: ['cep', 'ciliumep'],
  scope: 'Namespaced',
  columns: [
    {
      ...{ name: 'Security Identity', type: 'integer', description: 'The number of its labels' },
      jsonPath: '.status.identity.id',
    },
    {
      ...{ name: 'Ingress Enforcement', type: 'string', description: 'Whether policy is enforced on what it receives' },
      ...{ jsonPath: '.status.policy.ingress.state', priority: 1 },
    },
    {
      ...{ name: 'Egress Enforcement', type: 'string', description: 'Whether policy is enforced on what it sends' },
      ...{ jsonPath: '.status.policy.egress.state', priority: 1 },
    },
    { name: 'Endpoint State', type: 'string', description: 'How it is', jsonPath: '.status.state' },
    {
      ...{ name: 'IPv4', type: 'string', description: 'Its IPv4 address' },
      jsonPath: '.status.networking.addressing[0].ipv4',
    },
    {
      ...{ name: 'IPv6', type: 'string', description: 'Its IPv6 address' },
      jsonPath: '.status.networking.addressing[0].ipv6',
    },
  ],
  schema: objectSchema({
    status: {
      type: 'object',
      ...others,
      properties: {
        id: { type: 'integer' },
        identity: {
          type: 'object',
          ...others,
          properties: { id: { type: 'integer' }, labels: { type: 'array', items: text } },
        },
        networking: {
          type: 'object',
          ...others,
          properties: { addressing: listOf({ ipv4: text, ipv6: text }), node: text },
        },
        'named-ports': listOf({ name: text, port: { type: 'integer' }, protocol: text }),
        policy: { type: 'object', ...others, properties: { ingress: direction, egress: direction } },
        state: text,
      },
    },
  }),
});
