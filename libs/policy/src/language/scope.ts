// SPDX-License-Identifier: Apache-2.0
import { wellKnownLabelKey } from '@weir/model';
import { createSelectorSpec, labelIs, type Requirement, type SelectorSpec } from '../selector-spec.ts';

/**
 * Whom a policy's selectors may mean:
 * - `namespace`: the policy's own namespace; peers elsewhere only where a selector says so
 * - `cluster`: managed pods of all namespaces
 * - `unscoped`: whatever the selectors say
 */
export type PolicyScope =
  | { readonly kind: 'namespace'; readonly namespace: string }
  | { readonly kind: 'cluster' }
  | { readonly kind: 'unscoped' };

const isNamespaceKey = ({ source, key }: Requirement): boolean =>
  key === wellKnownLabelKey.namespace && (source === 'k8s' || source === 'any');

const isReserved = ({ source }: Requirement): boolean => source === 'reserved';

/** Whether a selector itself says which namespaces it means. */
const namesNamespace = (selector: SelectorSpec): boolean =>
  selector.requirements.some(
    (requirement) => isNamespaceKey(requirement) || requirement.key.startsWith(wellKnownLabelKey.namespaceLabelPrefix),
  );

const also = (selector: SelectorSpec, requirement: Requirement): SelectorSpec =>
  createSelectorSpec([...selector.requirements, requirement]);

/** A subject's selector within its scope, and the other namespace that it named and that was overridden. */
export interface ScopedSubject {
  readonly selector: SelectorSpec;
  readonly overridden?: string;
}

/**
 * Narrows the subject of a rule to its scope. A namespaced policy selects in its own namespace, whatever its
 * expressions say; a plain match on another namespace is overridden, and the caller warns.
 */
export function scopeSubject(selector: SelectorSpec, scope: PolicyScope): ScopedSubject {
  if (scope.kind !== 'namespace') return { selector };
  const isMatch = (requirement: Requirement): boolean =>
    isNamespaceKey(requirement) && requirement.operator === 'In' && requirement.values.length === 1;
  const named = selector.requirements.filter(isMatch).flatMap((requirement) => requirement.values);
  const overridden = named.find((namespace) => namespace !== scope.namespace);
  const kept = selector.requirements.filter((requirement) => !isMatch(requirement));
  const scoped = createSelectorSpec([...kept, labelIs('k8s', wellKnownLabelKey.namespace, scope.namespace)]);
  return overridden === undefined ? { selector: scoped } : { selector: scoped, overridden };
}

/** Narrows a peer of a rule to its scope, unless its selector says otherwise. */
export function scopePeer(peer: SelectorSpec, scope: PolicyScope, subject: SelectorSpec): SelectorSpec {
  switch (scope.kind) {
    case 'unscoped':
      return peer;
    case 'namespace':
      if (namesNamespace(peer) || peer.requirements.some(isReserved)) return peer;
      return also(peer, labelIs('k8s', wellKnownLabelKey.namespace, scope.namespace));
    case 'cluster': {
      // An endpoint whose labels are not known yet has no namespace, and neither have those it needs to reach.
      const selectsInit = subject.requirements.some(({ source, key }) => source === 'reserved' && key === 'init');
      if (selectsInit || namesNamespace(peer) || peer.requirements.some(isReserved)) return peer;
      return also(peer, { source: 'k8s', key: wellKnownLabelKey.namespace, operator: 'Exists', values: [] });
    }
  }
}
