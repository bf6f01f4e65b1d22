// SPDX-License-Identifier: Apache-2.0
import { type Entity, entityReservedIdentities, wellKnownLabelKey } from '@weir/model';
import { notEnforced } from '../document/not-enforced.ts';
import { reportProblem } from '../document/place.ts';
import { createReader, type Reader, wordReader } from '../document/readers.ts';
import { createSelectorSpec, labelIs, type SelectorSpec, wildcardSelector } from '../selector-spec.ts';

/** Entities that policies may name. */
export const enforcedEntities = [
  'all',
  'cluster',
  'health',
  'host',
  'init',
  'none',
  'remote-node',
  'unmanaged',
  'world',
] as const satisfies readonly Entity[];

/** Entities of the language that no address belongs to in this version. */
export const refusedEntities = ['ingress', 'kube-apiserver'] as const satisfies readonly Entity[];

const readKnown = wordReader(enforcedEntities, 'an entity');

/** Reads the name of an entity. */
export const readEntity: Reader<Entity> = createReader(readKnown.schema, (place) => {
  const { node } = place;
  const refused = refusedEntities.find((entity) => node.kind === 'scalar' && node.value === entity);
  return refused === undefined ? readKnown(place) : reportProblem(place, notEnforced(`the entity "${refused}"`));
});

/** The selectors that an entity stands for; `clusterName` is the value of the cluster label of local endpoints. */
export function entitySelectors(entity: Entity, clusterName: string): SelectorSpec[] {
  if (entity === 'all') return [wildcardSelector];
  const selectors = entityReservedIdentities[entity].map((name) => createSelectorSpec([labelIs('reserved', name)]));
  return entity === 'cluster'
    ? [...selectors, createSelectorSpec([labelIs('k8s', wellKnownLabelKey.cluster, clusterName)])]
    : selectors;
}
