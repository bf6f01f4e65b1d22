// SPDX-License-Identifier: Apache-2.0
// What NetworkPolicy of Kubernetes says, as rules. What the rules do is tested with the engine.
import type { Rule } from '../rule.ts';
import { onlyPolicy, problemsOf, warningsOf } from '../testing/parse-text.ts';

const policy = (spec: string, metadata = 'name: p, namespace: shop'): string =>
  `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {${metadata}},\nspec: {${spec}}}`;
const ruleOf = (spec: string): Rule => onlyPolicy(policy(spec)).rules[0]!;
const peersOf = (from: string): unknown => {
  const peers = ruleOf(`ingress: [{from: ${from}}]`).ingress.grants[0]!.peers;
  return peers === 'any' ? 'any' : peers.map(({ key }) => key);
};
const isIn = 'k8s:io.kubernetes.pod.namespace=shop';

describe('NetworkPolicy', () => {
  it('is known by its namespace and name, and carries the labels that tools look for', () => {
    const read = onlyPolicy(policy('podSelector: {matchLabels: {app: web}}'));
    expect(read).toMatchObject({ key: 'NetworkPolicy/shop/p', kind: 'NetworkPolicy', namespace: 'shop', name: 'p' });
    expect(read.rules[0]).toMatchObject({ subject: { key: `k8s:app=web && ${isIn}` }, lines: { first: 2 } });
    expect(read.rules[0]?.labels).toContain('k8s:io.cilium.k8s.policy.derived-from=NetworkPolicy');
    expect(onlyPolicy(read.document).document).toBe(read.document);
  });

  it('with an empty podSelector, or none, is for every pod of its namespace', () => {
    for (const spec of ['podSelector: {}', '']) expect(ruleOf(spec).subject.key).toBe(isIn);
  });

  it.each([
    ['', [true, false]],
    ['policyTypes: []', [true, false]],
    ['egress: []', [true, false]],
    ['egress: [{}]', [true, true]],
    ['policyTypes: [Egress]', [false, true]],
    ['policyTypes: [Ingress, Egress]', [true, true]],
    ['policyTypes: [Ingress], egress: [{}]', [true, false]],
  ])('{%s} isolates ingress and egress: %j', (spec, expected) => {
    const { ingress, egress } = ruleOf(spec);
    expect([ingress.defaultDeny, egress.defaultDeny]).toEqual(expected);
  });

  it('says nothing of a direction that policyTypes does not have, of which a warning tells', () => {
    const spec = 'policyTypes: [Egress], ingress: [{}]';
    expect(ruleOf(spec).ingress.grants).toEqual([]);
    expect(warningsOf(policy(spec))).toEqual([
      expect.stringContaining('spec.ingress: Rules for ingress have no effect: policyTypes does not have Ingress'),
    ]);
  });

  it('without items lets nobody through, and with an empty one everybody on every port', () => {
    expect(ruleOf('ingress: []').ingress.grants).toEqual([]);
    expect(ruleOf('ingress: [{}]').ingress.grants).toMatchObject([{ peers: 'any', ports: [{ protocol: 0, port: 0 }] }]);
    expect(ruleOf('ingress: [{from: [], ports: []}]').ingress.grants).toMatchObject([
      { peers: 'any', ports: [{ protocol: 0, port: 0 }] },
    ]);
  });

  it.each([
    ['[{podSelector: {}}]', [isIn]],
    ['[{podSelector: {matchLabels: {app: db}}}]', [`k8s:app=db && ${isIn}`]],
    ['[{namespaceSelector: {}}]', ['k8s:io.kubernetes.pod.namespace']],
    ['[{namespaceSelector: {matchLabels: {team: red}}}]', ['k8s:io.cilium.k8s.namespace.labels.team=red']],
    [
      '[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}}]',
      ['k8s:io.kubernetes.pod.namespace=away'],
    ],
    [
      '[{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [shop]}]}}]',
      ['k8s:io.kubernetes.pod.namespace && k8s:io.kubernetes.pod.namespace notin (shop)'],
    ],
    [
      '[{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: db}}}]',
      ['k8s:app=db && k8s:io.cilium.k8s.namespace.labels.team=red'],
    ],
    [
      '[{namespaceSelector: {matchLabels: {team: red}}}, {podSelector: {matchLabels: {app: db}}}]',
      ['k8s:io.cilium.k8s.namespace.labels.team=red', `k8s:app=db && ${isIn}`],
    ],
    ['[{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]', ['!cidr:10.1.0.0/16 && cidr:10.0.0.0/8']],
  ])('%s are the peers %j', (from, expected) => {
    expect(peersOf(from)).toEqual(expected);
  });

  it('knows ports by number, name and range, TCP unless it says otherwise', () => {
    const grant = ruleOf(
      'ingress: [{ports: [{port: 80}, {port: dns, protocol: UDP}, {port: 8000, endPort: 8003}, {protocol: SCTP}]}]',
    ).ingress.grants[0];
    expect(grant?.ports.map(({ protocol, port, prefixLength }) => [protocol, port, prefixLength])).toEqual([
      [6, 80, 16],
      [6, 8000, 14],
      [132, 0, 0],
    ]);
    expect(grant?.namedPorts).toEqual([{ name: 'dns', protocol: 17 }]);
  });

  it.each([
    ['ingress: [{from: [{}]}]', 'from[0]: Peer names nobody; expected podSelector, namespaceSelector or ipBlock'],
    ['ingress: [{from: [{ipBlock: {cidr: 1.0.0.0/8}, podSelector: {}}]}]', 'Only ipBlock, or selectors of pods and'],
    ['ingress: [{from: [{ipBlock: {}}]}]', 'ipBlock.cidr: Field "cidr" is missing'],
    [
      'ingress: [{from: [{ipBlock: {cidr: 1.0.0.0/8, except: [2.0.0.0/8]}}]}]',
      'except[0]: "2.0.0.0/8" does not lie in',
    ],
    ['ingress: [{ports: [{port: "80"}]}]', '"80" is a string and would be the name of a port; write it without quotes'],
    ['ingress: [{ports: [{port: 0}]}]', 'ports[0].port: 0 is not a port (1–65535)'],
    ['ingress: [{ports: [{port: 70000}]}]', '70000 is not a port (1–65535)'],
    ['ingress: [{ports: [{endPort: 80}]}]', 'endPort: Range ends with 80, but has no first port'],
    ['ingress: [{ports: [{port: 90, endPort: 80}]}]', 'endPort: Range ends with 80, before its first port 90'],
    ['ingress: [{ports: [{port: web, endPort: 80}]}]', 'Range from "web" to 80 begins with a name; expected a number'],
    ['ingress: [{ports: [{port: 80, protocol: ICMP}]}]', '"ICMP" is not a protocol (one of TCP, UDP, SCTP)'],
    ['ingress: [{ports: [{port: 80, protocol: tcp}]}]', '"tcp" is not a protocol'],
    ['policyTypes: [ingress]', 'policyTypes[0]: "ingress" is not a type of policy (one of Ingress, Egress)'],
    ['ingress: [{to: []}]', 'ingress[0].to: Field "to" is not known'],
    ['podSelector: {matchLabels: {"k8s:app": web}}', '"k8s:app" is not a label key of Kubernetes; it has no source'],
    ['endpointSelector: {}', 'endpointSelector: Field "endpointSelector" is not known; expected one of podSelector,'],
  ])('{%s} is refused', (spec, message) => {
    expect(problemsOf(policy(spec))).toEqual([expect.stringContaining(message)]);
  });

  it.each([
    ['ingress: [{from: [{ipBlock: {cidr: 1.0.0.0/8}}]}]', 'ipBlock: Not enforced by this version: peers by address'],
    ['ingress: [{ports: [{port: 80, endPort: 81}]}]', 'endPort: Not enforced by this version: port ranges'],
    ['ingress: [{ports: [{port: web}]}]', 'port: Not enforced by this version: "web" as the name of a port'],
  ])('that needs what is not there is refused by name: {%s}', (spec, message) => {
    expect(problemsOf(policy(spec), [])).toEqual([expect.stringContaining(message)]);
  });

  it('needs its version, its metadata and its spec', () => {
    expect(problemsOf('kind: NetworkPolicy').map((text) => text.replace(/^.*?: /, ''))).toEqual([
      'apiVersion: Field "apiVersion" is missing',
      'metadata: Field "metadata" is missing',
      'spec: Field "spec" is missing',
    ]);
    expect(problemsOf(policy('').replace('networking.k8s.io/v1', 'cilium.io/v2'))).toEqual([
      expect.stringContaining('"cilium.io/v2" is not the API version of a NetworkPolicy (one of networking.k8s.io/v1)'),
    ]);
  });
});
