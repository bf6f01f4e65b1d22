// SPDX-License-Identifier: Apache-2.0
// The kinds of object that a cluster keeps in Kubernetes: what Kubernetes must know of them, and what they look like. Speaks to
// nobody.
export type { CiliumEndpoint } from './cilium-endpoint.ts';
export type { CiliumIdentity } from './cilium-identity.ts';
export type { CiliumNode, NodeAddressType } from './cilium-node.ts';
export {
  customResourceGroup,
  customResourceVersion,
  type CustomResourceDefinition,
  schemaVersion,
  schemaVersionLabel,
} from './definition.ts';
export { customResourceDefinitions } from './definitions.ts';
