// SPDX-License-Identifier: Apache-2.0
import { createLabelSet, type LabelSet } from './label-set.ts';

/** The numbers of the reserved identities; the name is that of their label, `reserved:host`. */
export const reservedIdentity = {
  host: 1,
  world: 2,
  unmanaged: 3,
  health: 4,
  init: 5,
  'remote-node': 6,
  'kube-apiserver': 7,
  ingress: 8,
  'world-ipv4': 9,
  'world-ipv6': 10,
} as const;

/** The name of a reserved identity. */
export type ReservedIdentityName = keyof typeof reservedIdentity;

/** All reserved identities with their labels, ascending by number. The API server's node is a remote node, too. */
export const reservedIdentities: ReadonlyMap<number, LabelSet> = new Map(
  Object.entries(reservedIdentity).map(([name, id]) => {
    const names = name === 'kube-apiserver' ? [name, 'remote-node'] : [name];
    return [id, createLabelSet(names.map((key) => ({ source: 'reserved', key, value: '' })))];
  }),
);
