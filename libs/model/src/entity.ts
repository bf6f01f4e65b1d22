// SPDX-License-Identifier: Apache-2.0
import type { ReservedIdentityName } from './reserved-identity.ts';

/** The groups of peers that a rule can name in `fromEntities` and `toEntities`. */
export const entities = [
  'all',
  'cluster',
  'health',
  'host',
  'ingress',
  'init',
  'kube-apiserver',
  'none',
  'remote-node',
  'unmanaged',
  'world',
] as const;

/** The name of an entity. */
export type Entity = (typeof entities)[number];

/**
 * The reserved identities that an entity stands for. `all` is every peer and `cluster` also every endpoint of the
 * local cluster, which only a selector can say: for them this is the reserved part alone.
 */
export const entityReservedIdentities: Readonly<Record<Entity, readonly ReservedIdentityName[]>> = {
  all: [],
  cluster: ['host', 'remote-node', 'init', 'health', 'unmanaged'],
  health: ['health'],
  host: ['host'],
  ingress: ['ingress'],
  init: ['init'],
  'kube-apiserver': ['kube-apiserver'],
  none: [],
  'remote-node': ['remote-node'],
  unmanaged: ['unmanaged'],
  world: ['world', 'world-ipv4', 'world-ipv6'],
};
