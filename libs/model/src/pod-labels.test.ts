// SPDX-License-Identifier: Apache-2.0
import { formatLabelSet, parseLabelSet } from './label-set.ts';
import { parseLabel } from './label.ts';
import { createIdentityLabelFilter } from './identity-label-filter.ts';
import { isProtectedLabel, podLabels } from './pod-labels.ts';

describe('podLabels()', () => {
  it('joins what the platform and what the user says', () => {
    const { labels, ignored } = podLabels({
      namespace: 'galaxy',
      labels: { org: 'empire' },
      serviceAccount: 'default',
      namespaceLabels: { team: 'sith' },
    });
    expect(formatLabelSet(labels)).toEqual([
      'k8s:io.cilium.k8s.namespace.labels.team=sith',
      'k8s:io.cilium.k8s.policy.cluster=default',
      'k8s:io.cilium.k8s.policy.serviceaccount=default',
      'k8s:io.kubernetes.pod.namespace=galaxy',
      'k8s:org=empire',
    ]);
    expect(ignored).toEqual([]);
  });

  it.each(['k8s', 'container', 'unspec'] as const)('lets no user of source %s pretend to be another pod', (source) => {
    const { labels, ignored } = podLabels({
      namespace: 'a',
      source,
      labels: {
        'io.kubernetes.pod.namespace': 'kube-system',
        'io.cilium.k8s.policy.cluster': 'other',
        'io.cilium.k8s.policy.serviceaccount': 'admin',
        'io.cilium.k8s.namespace.labels.team': 'root',
      },
    });
    expect(labels.key).toBe('k8s:io.cilium.k8s.policy.cluster=default;k8s:io.kubernetes.pod.namespace=a;');
    expect(ignored).toHaveLength(4);
    expect(ignored[0]).toBe(`${source}:io.kubernetes.pod.namespace=kube-system`);
  });

  it('protects every reserved label', () => {
    expect(isProtectedLabel(parseLabel('reserved:host'))).toBe(true);
    expect(isProtectedLabel(parseLabel('k8s:host'))).toBe(false);
  });
});

describe('createIdentityLabelFilter()', () => {
  const relevant = (option: string, labels: readonly string[]): string[] =>
    formatLabelSet(createIdentityLabelFilter(option).select(parseLabelSet(labels)));

  const rollout = [
    'k8s:pod-template-hash=1',
    'k8s:annotation.x=1',
    'k8s:controller-uid=2',
    'k8s:io.kubernetes.other=3',
  ];
  const scope = ['k8s:io.cilium.k8s.policy.cluster=default', 'k8s:io.kubernetes.pod.namespace=a'];

  it('leaves out by default what changes with every rollout, and keeps what policies are scoped by', () => {
    expect(relevant('', [...rollout, ...scope, 'k8s:app=web', 'k8s:my.annotation=1'])).toEqual([
      'k8s:app=web',
      ...scope,
      'k8s:my.annotation=1',
    ]);
  });

  it('becomes an allow-list with the first inclusion', () => {
    expect(relevant('k8s:app', [...scope, 'k8s:app=web', 'container:app=web', 'k8s:tier=1', 'reserved:host'])).toEqual([
      'k8s:app=web',
      ...scope,
      'reserved:host',
    ]);
  });

  it('adds exclusions to the default ones', () => {
    expect(relevant('!tier k8s:!zone', ['k8s:app=1', 'k8s:tier=1', 'k8s:zone=1', 'mesos:zone=1', ...rollout])).toEqual([
      'k8s:app=1',
      'mesos:zone=1',
    ]);
  });

  it('lets the longer match of an inclusion and an exclusion win', () => {
    expect(relevant('app !app-hash', ['k8s:app=1', 'k8s:app-hash=1', 'k8s:app-x=1'])).toEqual([
      'k8s:app-x=1',
      'k8s:app=1',
    ]);
  });

  it.each([
    ['k8s:!', '"k8s:!" in the labels option has no regular expression'],
    ['k8:x', '"k8" in "k8:x" is not a label source'],
    ['a(', '"a(" in the labels option: error parsing regexp: missing closing )'],
  ])('refuses %s', (option, message) => {
    expect(() => createIdentityLabelFilter(option)).toThrow(message);
  });
});
