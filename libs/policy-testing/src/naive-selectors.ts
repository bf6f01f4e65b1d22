// SPDX-License-Identifier: Apache-2.0
// Whom selectors select, read off the reference: labels, sources, and what a policy's namespace adds.
import { addressLiesIn } from './naive-addresses.ts';
import type { NaiveEnd } from './naive-flow.ts';
import type { WrittenRule, WrittenSelector } from './policy-document.ts';

/** Whose policy a selector is in. */
export type NaiveScope =
  { readonly kind: 'namespace'; readonly namespace: string } | { readonly kind: 'cluster' | 'none' };

const namespaceKey = 'io.kubernetes.pod.namespace';
/** What keys of labels of namespaces begin with. */
export const namespaceLabelPrefix = 'io.cilium.k8s.namespace.labels.';

interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

function labelParts(text: string): Label {
  const [name = '', ...value] = text.split('=');
  const [source = '', ...key] = name.split(':');
  return { source, key: key.join(':'), value: value.join('=') };
}

/** Kubernetes labels every namespace with its name. */
function withNamespaceName(labels: readonly Label[]): readonly Label[] {
  const namespace = labels.find(({ source, key }) => source === 'k8s' && key === namespaceKey);
  const key = `${namespaceLabelPrefix}kubernetes.io/metadata.name`;
  return namespace === undefined ? labels : [...labels, { ...namespace, key }];
}

const read = new WeakMap<readonly string[], readonly Label[]>();

function labelsOf({ labels }: NaiveEnd): readonly Label[] {
  const known = read.get(labels) ?? withNamespaceName(labels.map(labelParts));
  read.set(labels, known);
  return known;
}

const sources = ['any', 'k8s', 'container', 'reserved', 'unspec', 'cidr', 'node'];

function sourceAndKey(text: string): readonly [string, string] {
  const colon = text.indexOf(':');
  const source = text.slice(0, Math.max(colon, 0));
  return sources.includes(source) ? [source, text.slice(colon + 1)] : ['any', text];
}

/** The values of an end's labels that a name stands for. */
function valuesOf(name: string, end: NaiveEnd): string[] {
  const [source, key] = sourceAndKey(name);
  if (source === 'cidr') return end.address !== undefined && addressLiesIn(end.address, key) ? [''] : [];
  const named = labelsOf(end).filter((label) => label.key === key && (source === 'any' || label.source === source));
  return named.map(({ value }) => value);
}

/** Whether a selector selects an end, wherever that is. */
export function selects(selector: WrittenSelector, end: NaiveEnd): boolean {
  for (const [name, value] of Object.entries(selector.matchLabels ?? {})) {
    if (!valuesOf(name, end).includes(value)) return false;
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const found = valuesOf(key, end);
    const isIn = found.some((value) => values.includes(value));
    if (operator === 'In' && !isIn) return false;
    if (operator === 'NotIn' && isIn) return false;
    if (operator === 'Exists' && found.length === 0) return false;
    if (operator === 'DoesNotExist' && found.length > 0) return false;
  }
  return true;
}

/** Whether an end is a pod of a namespace, or of any. */
export function isPodIn(end: NaiveEnd, namespace?: string): boolean {
  const isNamespace = ({ source, key }: Label): boolean => source === 'k8s' && key === namespaceKey;
  return labelsOf(end).some((label) => isNamespace(label) && (namespace ?? label.value) === label.value);
}

/** Whether an end has the label `reserved:NAME`. */
export const isReserved = (end: NaiveEnd, ...names: string[]): boolean =>
  labelsOf(end).some(({ source, key }) => source === 'reserved' && names.includes(key));

const keysIn = (selector: WrittenSelector): (readonly [string, string])[] =>
  [...Object.keys(selector.matchLabels ?? {}), ...(selector.matchExpressions ?? []).map(({ key }) => key)].map(
    sourceAndKey,
  );

const isNamespaceName = (name: string): boolean => {
  const [source, key] = sourceAndKey(name);
  return key === namespaceKey && (source === 'k8s' || source === 'any');
};

/** A namespaced policy selects in its own namespace; where it plainly names another one, that counts for nothing. */
export function subjectSelected(scope: NaiveScope, rule: WrittenRule, subject: NaiveEnd): boolean {
  const isHost = isReserved(subject, 'host');
  if (rule.nodeSelector !== undefined) return isHost && selects(rule.nodeSelector, subject);
  if (isHost) return false;
  const { matchLabels = {}, matchExpressions = [] } = rule.endpointSelector ?? {};
  if (scope.kind !== 'namespace') return selects({ matchLabels, matchExpressions }, subject);
  const withoutNamespace = {
    matchLabels: Object.fromEntries(Object.entries(matchLabels).filter(([name]) => !isNamespaceName(name))),
    matchExpressions: matchExpressions.filter(
      ({ key, operator, values }) => !(isNamespaceName(key) && operator === 'In' && new Set(values).size === 1),
    ),
  };
  return isPodIn(subject, scope.namespace) && selects(withoutNamespace, subject);
}

/** A selector of peers in its rule. */
export interface PeerSelector {
  readonly selector: WrittenSelector;
  readonly rule: WrittenRule;
  /** Whether it is of `fromRequires`, where `reserved` labels do not widen the scope. */
  readonly isRequired?: boolean;
}

/** Whether a selector of peers selects one: in the policy's scope, unless the selector says where it means. */
export function peerSelected(scope: NaiveScope, { selector, rule, isRequired }: PeerSelector, peer: NaiveEnd): boolean {
  if (!selects(selector, peer)) return false;
  const saysWhere = keysIn(selector).some(
    ([source, key]) =>
      (source === 'reserved' && isRequired !== true) ||
      (key === namespaceKey && (source === 'k8s' || source === 'any')) ||
      key.startsWith(namespaceLabelPrefix),
  );
  if (saysWhere || scope.kind === 'none') return true;
  if (scope.kind === 'namespace') return isPodIn(peer, scope.namespace);
  const subjectKeys = keysIn(rule.endpointSelector ?? {});
  return subjectKeys.some(([source, key]) => source === 'reserved' && key === 'init') || isPodIn(peer);
}
