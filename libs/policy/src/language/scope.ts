// SPDX-License-Identifier: Apache-2.0
import { wellKnownLabelKey } from '@weir/model';
import { createSelectorSpec, labelExists, labelIs, type Requirement, type SelectorSpec } from '../selector-spec.ts';

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

// Kubernetes gives every namespace this label, and its name as the value; it need not be known of a pod to hold.
const namespaceNameKey = `${wellKnownLabelKey.namespaceLabelPrefix}kubernetes.io/metadata.name`;

const withNamespaceName = (requirement: Requirement): Requirement =>
  requirement.key === namespaceNameKey && (requirement.source === 'k8s' || requirement.source === 'any')
    ? { ...requirement, key: wellKnownLabelKey.namespace }
    : requirement;

const scoped = (requirements: readonly Requirement[], ...more: Requirement[]): SelectorSpec =>
  createSelectorSpec([...requirements.map(withNamespaceName), ...more]);

const inNamespace = (namespace: string): Requirement => labelIs('k8s', wellKnownLabelKey.namespace, namespace);

/** What a managed pod of any namespace has. */
export const inAnyNamespace: Requirement = labelExists('k8s', wellKnownLabelKey.namespace);

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
  if (scope.kind !== 'namespace') return { selector: scoped(selector.requirements) };
  const isMatch = (requirement: Requirement): boolean =>
    isNamespaceKey(requirement) && requirement.operator === 'In' && requirement.values.length === 1;
  const named = selector.requirements.filter(isMatch).flatMap((requirement) => requirement.values);
  const overridden = named.find((namespace) => namespace !== scope.namespace);
  const kept = selector.requirements.filter((requirement) => !isMatch(requirement));
  const narrowed = scoped(kept, inNamespace(scope.namespace));
  return overridden === undefined ? { selector: narrowed } : { selector: narrowed, overridden };
}

/** Whom a rule is for decides with whom it speaks: endpoints without labels have no namespace, nor have their peers. */
const selectsInit = (subject: SelectorSpec): boolean =>
  subject.requirements.some(({ source, key }) => source === 'reserved' && key === 'init');

/** Narrows a peer of a rule to its scope, unless its selector says otherwise. */
export function scopePeer(peer: SelectorSpec, scope: PolicyScope, subject: SelectorSpec): SelectorSpec {
  if (peer.requirements.some(isReserved)) return scoped(peer.requirements);
  return scopeRequired(peer, scope, subject);
}

/** Narrows what `fromRequires` wants of peers: as for peers, but `reserved` labels do not widen the scope. */
export function scopeRequired(required: SelectorSpec, scope: PolicyScope, subject: SelectorSpec): SelectorSpec {
  const { requirements } = required;
  const isScoped = scope.kind === 'unscoped' || namesNamespace(required);
  if (isScoped || (scope.kind === 'cluster' && selectsInit(subject))) return scoped(requirements);
  return scoped(requirements, scope.kind === 'namespace' ? inNamespace(scope.namespace) : inAnyNamespace);
}
