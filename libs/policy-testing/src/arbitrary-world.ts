// SPDX-License-Identifier: Apache-2.0
// Made-up pods, nodes, addresses and services for made-up policies to be about.
import fc from 'fast-check';
import { labelValues, namespaces } from './arbitrary-selector.ts';
import type { NaivePort, NaiveService } from './naive-flow.ts';
import type { WrittenCidrRule } from './policy-document.ts';

/** Addresses outside the cluster. */
export const addresses = ['10.0.0.1', '10.1.0.1', '10.1.2.3', '192.0.2.1', '2001:db8::1', '2001:db8:1::1'] as const;

/** Prefixes that some of the addresses lie in. */
export const prefixes = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.0/24',
  '10.1.2.3/32',
  '192.0.2.0/24',
  '::/0',
  '2001:db8::/32',
  '2001:db8:1::/48',
] as const;

const rule = (cidr: string, ...except: string[]): WrittenCidrRule => ({ cidr, except });

/** An item of `fromCIDRSet`, or an `ipBlock`; exceptions lie in the prefix, as they must. */
export const arbitraryCidrRule: fc.Arbitrary<WrittenCidrRule> = fc.oneof(
  fc.constantFrom<string>(...prefixes).map((cidr) => ({ cidr })),
  fc.constantFrom(
    rule('0.0.0.0/0', '10.0.0.0/8'),
    rule('10.0.0.0/8', '10.1.0.0/16'),
    rule('10.0.0.0/8', '10.1.2.3/32', '10.1.2.0/24'),
    rule('10.1.0.0/16', '10.1.0.0/16'),
    rule('::/0', '2001:db8:1::/48'),
    rule('2001:db8::/32'),
  ),
);

/** An item of `fromCIDR`, where an address may stand by itself. */
export const arbitraryCidr: fc.Arbitrary<string> = fc.constantFrom<string>(...prefixes, '10.1.2.3', '2001:db8::1');

/** A pod. */
export interface ArbitraryPod {
  /** `source:key=value`. */
  readonly labels: string[];
  readonly namedPorts: NaivePort[];
}

const podLabels = fc.record({
  namespace: fc.constantFrom(...namespaces),
  source: fc.constantFrom('k8s', 'k8s', 'k8s', 'container'),
  app: fc.option(fc.constantFrom(...labelValues), { nil: undefined }),
  tier: fc.option(fc.constantFrom(...labelValues), { nil: undefined }),
  isLocalCluster: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
});

/** Some names for some ports; one name may be of several. */
export const arbitraryNamedPorts: fc.Arbitrary<NaivePort[]> = fc.subarray<NaivePort>(
  [
    { name: 'http', protocol: 6, port: 80 },
    { name: 'http', protocol: 6, port: 8080 },
    { name: 'HTTP', protocol: 17, port: 80 },
    { name: 'web', protocol: 6, port: 443 },
    { name: 'dns', protocol: 17, port: 53 },
  ],
  { maxLength: 3 },
);

/** A pod of one of the namespaces. */
export const arbitraryPod: fc.Arbitrary<ArbitraryPod> = fc
  .tuple(podLabels, fc.oneof(fc.constant<NaivePort[]>([]), arbitraryNamedPorts))
  .map(([pod, namedPorts]) => ({
    namedPorts,
    labels: [
      `k8s:io.kubernetes.pod.namespace=${pod.namespace}`,
      `k8s:io.cilium.k8s.namespace.labels.team=${pod.namespace === 'a' ? 'red' : 'blue'}`,
      `k8s:io.cilium.k8s.policy.cluster=${pod.isLocalCluster ? 'default' : 'other'}`,
      ...(pod.app === undefined ? [] : [`${pod.source}:app=${pod.app}`]),
      ...(pod.tier === undefined ? [] : [`k8s:tier=${pod.tier}`]),
    ],
  }));

const service = fc.record(
  {
    labels: fc.constantFrom<Record<string, string>>({}, { env: 'prod' }, { env: 'test' }),
    selector: fc.constantFrom<Record<string, string>>({ app: 'x' }, { app: 'y', tier: 'x' }, {}),
    addresses: fc.subarray<string>([...prefixes], { maxLength: 2 }),
  },
  { requiredKeys: ['labels'] },
);

/** Services; no two have one name in one namespace. */
export const arbitraryServices: fc.Arbitrary<NaiveService[]> = fc.array(service, { maxLength: 3 }).map((list) =>
  list.map((one, index) => ({
    ...one,
    namespace: index % 2 === 0 ? namespaces[0] : namespaces[1],
    name: index < 2 ? 'db' : 'cache',
  })),
);
