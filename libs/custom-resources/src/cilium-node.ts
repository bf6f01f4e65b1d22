// SPDX-License-Identifier: Apache-2.0
import type { JsonSchema } from '@weir/policy';
import { defineKind, listOf, objectSchema, text } from './definition.ts';

/** What the kinds of addresses of a node are called. */
export type NodeAddressType = 'InternalIP' | 'ExternalIP' | 'CiliumInternalIP';

/** A node, with the ranges that its pods have addresses from. */
export interface CiliumNode {
  readonly apiVersion: 'cilium.io/v2';
  readonly kind: 'CiliumNode';
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly object[];
  };
  readonly spec: {
    readonly addresses?: readonly { readonly type: NodeAddressType; readonly ip: string }[];
    readonly ipam?: { readonly podCIDRs?: readonly string[] };
  };
  readonly status?: { readonly ipam?: { readonly 'operator-status'?: { readonly error?: string } } };
}

// Fields that agents of the baseline write stay as they are: both may be at work while a cluster moves from one to the other.
const others: JsonSchema = { 'x-kubernetes-preserve-unknown-fields': true };

/** The definition of `CiliumNode`. */
export const ciliumNodeDefinition = defineKind({
  kind: 'CiliumNode',
  plural: 'ciliumnodes',
  singular: 'ciliumnode',
  shortNames: ['cn', 'ciliumn'],
  scope: 'Cluster',
  columns: [
    {
      ...{ name: 'CiliumInternalIP', type: 'string', description: "The node's address among its pods" },
      jsonPath: '.spec.addresses[?(@.type=="CiliumInternalIP")].ip',
    },
    {
      ...{ name: 'InternalIP', type: 'string', description: "The node's address among nodes" },
      jsonPath: '.spec.addresses[?(@.type=="InternalIP")].ip',
    },
    {
      ...{ name: 'PodCIDRs', type: 'string', description: 'The ranges of its pods', priority: 1 },
      jsonPath: '.spec.ipam.podCIDRs',
    },
  ],
  schema: objectSchema(
    {
      spec: {
        type: 'object',
        ...others,
        properties: {
          addresses: listOf({ type: text, ip: text }),
          ipam: { type: 'object', ...others, properties: { podCIDRs: { type: 'array', items: text } } },
        },
      },
      status: {
        type: 'object',
        ...others,
        properties: {
          ipam: {
            type: 'object',
            ...others,
            properties: { 'operator-status': { type: 'object', properties: { error: text } } },
          },
        },
      },
    },
    ['spec'],
  ),
});
