// SPDX-License-Identifier: Apache-2.0
// Made-up policies of Kubernetes.
import fc from 'fast-check';
import { arbitraryCidrRule } from './arbitrary-world.ts';
import { arbitraryKubernetesSelector, namespaces } from './arbitrary-selector.ts';
import type { WrittenNetworkItem, WrittenNetworkPeer, WrittenNetworkPolicy } from './policy-document.ts';

const podSelector = arbitraryKubernetesSelector('pods');
const namespaceSelector = arbitraryKubernetesSelector('namespaces');

const peer: fc.Arbitrary<WrittenNetworkPeer> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ podSelector }) },
  { weight: 3, arbitrary: fc.record({ namespaceSelector }) },
  { weight: 3, arbitrary: fc.record({ podSelector, namespaceSelector }) },
  { weight: 2, arbitrary: fc.record({ ipBlock: arbitraryCidrRule }) },
);

const protocol = fc.constantFrom('TCP' as const, 'UDP' as const, 'SCTP' as const);
const port = fc.oneof(
  fc.record({ port: fc.constantFrom<number | string>(80, 80, 443, 53, 'http', 'dns'), protocol }, { requiredKeys: [] }),
  fc.constantFrom({ port: 79, endPort: 81 }, { port: 8000, endPort: 8191 }, { port: 80, endPort: 80 }),
);
const ports = fc.array(port, { maxLength: 2 });
const peers = fc.array(peer, { maxLength: 2 });
const items = (member: 'from' | 'to'): fc.Arbitrary<WrittenNetworkItem[]> =>
  fc.array(
    member === 'from'
      ? fc.record({ from: peers, ports }, { requiredKeys: [] })
      : fc.record({ to: peers, ports }, { requiredKeys: [] }),
    { maxLength: 2 },
  );

/** A NetworkPolicy that has yet to be named. */
export const arbitraryNetworkPolicy: fc.Arbitrary<WrittenNetworkPolicy> = fc.record({
  apiVersion: fc.constant('networking.k8s.io/v1' as const),
  kind: fc.constant('NetworkPolicy' as const),
  metadata: fc.record({ name: fc.constant(''), namespace: fc.constantFrom(...namespaces) }),
  spec: fc.record(
    {
      podSelector,
      ingress: items('from'),
      egress: items('to'),
      policyTypes: fc.subarray(['Ingress' as const, 'Egress' as const]),
    },
    { requiredKeys: ['podSelector'] },
  ),
});
