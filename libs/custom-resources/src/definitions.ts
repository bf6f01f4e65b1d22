// SPDX-License-Identifier: Apache-2.0
import { customResourceKinds, policyCustomResource } from '@weir/policy';
import { ciliumEndpointDefinition } from './cilium-endpoint.ts';
import { ciliumIdentityDefinition } from './cilium-identity.ts';
import { ciliumNodeDefinition } from './cilium-node.ts';
import { type CustomResourceDefinition, withSchemaVersion } from './definition.ts';

/** The definitions of all kinds, those of policies first. */
export const customResourceDefinitions = (): readonly CustomResourceDefinition[] => [
  ...customResourceKinds.map((kind) => withSchemaVersion(policyCustomResource(kind))),
  ciliumEndpointDefinition,
  ciliumIdentityDefinition,
  ciliumNodeDefinition,
];
