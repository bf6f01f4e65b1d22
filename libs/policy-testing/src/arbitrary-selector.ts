// SPDX-License-Identifier: Apache-2.0
// Made-up selectors over few labels, so that they often overlap, contradict and cover each other.
import fc from 'fast-check';
import type { WrittenSelector } from './policy-document.ts';

/** The namespaces of the made-up world. */
export const namespaces = ['a', 'b'] as const;
/** The values that its labels have. */
export const labelValues = ['x', 'y', 'z'] as const;

const namespaceKey = 'io.kubernetes.pod.namespace';
const namespaceLabel = 'io.cilium.k8s.namespace.labels.';

const labelName = fc.constantFrom('app', 'tier', 'k8s:app', 'any:tier', 'container:app');
const namespaceName = fc.constantFrom(namespaceKey, `k8s:${namespaceKey}`, `any:${namespaceKey}`);
const reservedName = fc.constantFrom('reserved:host', 'reserved:world', 'reserved:init', 'reserved:remote-node');
const cidrName = fc.constantFrom('cidr:10.0.0.0/8', 'cidr:10.1.2.3/32', 'cidr:2001:db8::/32');
const someNamespace = fc.constantFrom<string>(...namespaces);
const teams = fc.constantFrom('red', 'blue');

const matchLabel = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(labelName, fc.constantFrom<string>(...labelValues)) },
  { weight: 2, arbitrary: fc.tuple(namespaceName, someNamespace) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(`${namespaceLabel}team`), teams) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(`${namespaceLabel}kubernetes.io/metadata.name`), someNamespace) },
  { weight: 2, arbitrary: fc.tuple(reservedName, fc.constant('')) },
  { weight: 1, arbitrary: fc.tuple(cidrName, fc.constant('')) },
);
const someValues = fc.uniqueArray(fc.constantFrom<string>(...labelValues, ...namespaces), {
  minLength: 1,
  maxLength: 3,
});
const withValues = fc.constantFrom('In' as const, 'NotIn' as const);
const withoutValues = fc.constantFrom('Exists' as const, 'DoesNotExist' as const);

function expressions(key: fc.Arbitrary<string>): fc.Arbitrary<NonNullable<WrittenSelector['matchExpressions']>> {
  const one = fc.oneof(
    fc.record({ key, operator: withValues, values: someValues }),
    fc.record({ key, operator: withoutValues }),
  );
  return fc.array(one, { minLength: 1, maxLength: 2 });
}

const plainKey = fc.oneof(
  { weight: 6, arbitrary: labelName },
  { weight: 1, arbitrary: namespaceName },
  { weight: 1, arbitrary: reservedName },
);
const cidrExpression = fc
  .record({ key: cidrName, operator: withoutValues })
  .map((expression): WrittenSelector => ({ matchExpressions: [expression] }));

/** A selector as `cilium.io/v2` has it. */
export const arbitrarySelector: fc.Arbitrary<WrittenSelector> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  { weight: 10, arbitrary: fc.record({ matchLabels: fc.array(matchLabel, { maxLength: 2 }).map(Object.fromEntries) }) },
  { weight: 4, arbitrary: fc.record({ matchExpressions: expressions(plainKey) }) },
  { weight: 1, arbitrary: cidrExpression },
);

/** A selector of subjects, which selects somebody more often than not. */
export const arbitrarySubjectSelector: fc.Arbitrary<WrittenSelector> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ matchLabels: fc.constantFrom({ app: 'x' }, { app: 'y' }, { tier: 'x' }) }) },
  { weight: 2, arbitrary: arbitrarySelector },
);

/** A selector of nodes. */
export const arbitraryNodeSelector: fc.Arbitrary<WrittenSelector> = fc.constantFrom<WrittenSelector>(
  {},
  { matchLabels: { role: 'db' } },
  { matchLabels: { 'node:role': 'web' } },
  { matchExpressions: [{ key: 'role', operator: 'NotIn', values: ['db'] }] },
);

/** A selector of Kubernetes, over labels of pods or of namespaces. */
export const arbitraryKubernetesSelector = (about: 'pods' | 'namespaces'): fc.Arbitrary<WrittenSelector> => {
  const [key, values] =
    about === 'pods'
      ? [fc.constantFrom('app', 'tier'), fc.constantFrom<string>(...labelValues)]
      : [fc.constantFrom('team', 'kubernetes.io/metadata.name'), fc.constantFrom('red', 'a')];
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant({}) },
    {
      weight: 4,
      arbitrary: fc.record({ matchLabels: fc.array(fc.tuple(key, values), { maxLength: 2 }).map(Object.fromEntries) }),
    },
    { weight: 2, arbitrary: fc.record({ matchExpressions: expressions(key) }) },
  );
};
