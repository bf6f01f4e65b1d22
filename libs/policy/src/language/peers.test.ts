// SPDX-License-Identifier: Apache-2.0
import { policyNodeLabels } from '../policy-node-labels.ts';
import { completePrefixes, policyPrefixes } from '../policy-prefixes.ts';
import { formatCidr } from '@weir/model';
import type { RuleSection } from '../rule.ts';
import { onlyPolicy, specProblems, warningsOf, withSpec } from '../testing/parse-text.ts';

const egressOf = (item: string): RuleSection =>
  onlyPolicy(withSpec(`endpointSelector: {}, egress: [${item}]`)).rules[0]!.egress;
const peersOf = (item: string): string[] =>
  egressOf(item).grants.flatMap(({ peers }) => (peers === 'any' ? ['any'] : peers.map(({ key }) => key)));
const problems = (item: string): string[] => specProblems(`endpointSelector: {}, egress: [${item}]`);
const isIn = 'k8s:io.kubernetes.pod.namespace=default';

describe('peers by address', () => {
  it.each([
    ['{toCIDR: [10.0.0.0/8, 1.2.3.4, "fd00::/8", "::1"]}', ['10.0.0.0/8', '1.2.3.4/32', 'fd00::/8', '::1/128']],
    ['{toCIDR: [0.0.0.0/0, "::/0"]}', ['0.0.0.0/0', '::/0']],
    ['{toCIDRSet: [{cidr: 10.0.0.0/8}]}', ['10.0.0.0/8']],
  ])('%s are identities of prefixes that lie in %j', (item, expected) => {
    expect(peersOf(item)).toEqual(expected.map((prefix) => `cidr:${prefix}`));
  });

  it('are not those of the exceptions, each for its own item', () => {
    expect(
      peersOf('{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}, {cidr: 10.1.0.0/16}]}'),
    ).toEqual(['!cidr:10.1.0.0/16 && !cidr:10.2.0.0/16 && cidr:10.0.0.0/8', 'cidr:10.1.0.0/16']);
  });

  it('may have bits after the prefix, of which a warning tells', () => {
    expect(peersOf('{toCIDR: [10.1.2.3/8]}')).toEqual(['cidr:10.0.0.0/8']);
    expect(warningsOf(withSpec('endpointSelector: {}, egress: [{toCIDR: [10.1.2.3/8]}]'))).toEqual([
      expect.stringContaining('toCIDR[0]: "10.1.2.3/8" has bits set after its prefix; taken as "10.0.0.0/8"'),
    ]);
  });

  it.each([
    ['{toCIDR: [""]}', '"" is not a prefix (address/length, as in 10.0.0.0/8 or fd00::/64)'],
    ['{toCIDR: [10.0.0.0/33]}', 'has the prefix length 33; expected at most 32'],
    ['{toCIDR: [10.0.0.0/255.0.0.0]}', 'is not a prefix'],
    ['{toCIDR: [10.0.0/8]}', 'is not a prefix'],
    ['{toCIDR: [example.com]}', 'is not a prefix'],
    ['{toCIDRSet: [{cidr: 1.2.3.4}]}', '"1.2.3.4" is not a prefix'],
    ['{toCIDRSet: [{}]}', 'toCIDRSet[0].cidr: Field "cidr" is missing'],
    [
      '{toCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}]}',
      '"11.0.0.0/16" does not lie in "10.0.0.0/8", of which',
    ],
    ['{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/7]}]}', 'except[0]: "10.0.0.0/7" does not lie in "10.0.0.0/8"'],
    ['{toCIDRSet: [{cidr: "::/0", except: [10.0.0.0/8]}]}', 'except[0]: "10.0.0.0/8" does not lie in "::/0"'],
  ])('%s are refused', (item, message) => {
    expect(problems(item)).toEqual([expect.stringContaining(message)]);
  });

  it('may be selected by the label that they have in the baseline, too', () => {
    const list = onlyPolicy(
      '[{endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {"cidr:10.0.0.0/8": ""}}]}]}]',
    );
    expect(list.rules[0]?.egress.grants[0]?.peers).toMatchObject([{ key: 'cidr:10.0.0.0/8' }]);
    expect(problems('{toEndpoints: [{matchLabels: {"cidr:10": ""}}]}')).toEqual([
      expect.stringContaining('"10" is not a prefix (as in cidr:10.0.0.0/8)'),
    ]);
    expect(problems('{toEndpoints: [{matchLabels: {"cidr:10.0.0.0/8": x}}]}')).toEqual([
      expect.stringContaining('Label "cidr:10.0.0.0/8" has no value'),
    ]);
  });
});

describe('policyPrefixes()', () => {
  const prefixesOf = (item: string): string[] =>
    policyPrefixes(onlyPolicy(withSpec(`endpointSelector: {}, egress: [${item}]`))).map(formatCidr);

  it('are all that a policy names, exceptions among them, each once', () => {
    const item = '{toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}, {cidr: 10.1.0.0/16}]}';
    expect(prefixesOf(item)).toEqual(['10.0.0.0/8', '10.1.0.0/16']);
    expect(prefixesOf('{toEntities: [world]}')).toEqual([]);
  });

  it('have all of IPv4 beside those of IPv6 that its addresses would fall to in one table', () => {
    expect(prefixesOf('{toCIDR: ["::/0"]}')).toEqual(['0.0.0.0/0', '::/0']);
    expect(prefixesOf('{toCIDR: ["::/64"]}')).toEqual(['0.0.0.0/0', '::/64']);
    expect(prefixesOf('{toCIDR: ["::/128", "fd00::/8"]}')).toEqual(['::/128', 'fd00::/8']);
    expect(completePrefixes([])).toEqual([]);
  });
});

describe('policyNodeLabels()', () => {
  it('names what nodes are told apart by, and nothing that pods are selected by', () => {
    const spec = `endpointSelector: {matchLabels: {app: a}}, ingress: [
      {fromNodes: [{matchLabels: {pool: db}, matchExpressions: [{key: zone, operator: DoesNotExist}]}]},
      {fromEndpoints: [{matchLabels: {app: b, "node:rack": "1"}}]},
      {fromEntities: [remote-node]},
    ], egress: [{toNodes: [{}, {matchLabels: {pool: web}}]}]`;
    expect(policyNodeLabels(onlyPolicy(withSpec(spec)))).toEqual(['pool', 'rack', 'zone']);
  });
});

describe('peers by labels of nodes', () => {
  it('are nodes, whatever else has such labels', () => {
    expect(peersOf('{toNodes: [{matchLabels: {role: db}}]}')).toEqual(['any:role=db && reserved:remote-node']);
    expect(peersOf('{toNodes: [{}]}')).toEqual(['reserved:remote-node']);
  });
});

describe('peers by service', () => {
  it('are known by name, or by labels, in a namespace or in any', () => {
    const selector = 'matchLabels: {env: prod}';
    expect(
      egressOf(
        `{toServices: [{k8sService: {serviceName: db, namespace: shop}}, {k8sService: {serviceName: db}},
          {k8sServiceSelector: {selector: {${selector}}}}]}`,
      ).grants,
    ).toMatchObject([
      {
        peers: [],
        services: [{ name: 'db', namespace: 'shop' }, { name: 'db' }, { selector: { key: 'any:env=prod' } }],
      },
    ]);
  });

  it.each([
    ['{toServices: [{}]}', 'Exactly one of k8sService, k8sServiceSelector must be in one item'],
    ['{toServices: [{k8sService: {}}]}', 'k8sService.serviceName: Field "serviceName" is missing'],
    ['{toServices: [{k8sServiceSelector: {}}]}', 'k8sServiceSelector.selector: Field "selector" is missing'],
    ['{toServices: [{k8sService: {serviceName: A_b}}]}', '"A_b" is not a name'],
    [
      '{toServices: [], toPorts: [{ports: [{port: "1"}]}]}',
      'egress[0].toPorts: Ports cannot be narrowed beside toServices; write toEndpoints instead',
    ],
  ])('%s are refused', (item, message) => {
    expect(problems(item)).toEqual([expect.stringContaining(message)]);
  });
});

describe('requirements on all peers', () => {
  it('are all of what is written, in the scope of the policy, and grant nothing', () => {
    const section = egressOf('{toRequires: [{matchLabels: {a: x}}, {matchLabels: {b: y}}]}');
    expect(section.required?.key).toBe(`any:a=x && any:b=y && ${isIn}`);
    expect(section.grants).toEqual([]);
    expect(section.defaultDeny).toBe(true);
  });

  it('stay in the namespace also with reserved labels, unlike peers', () => {
    expect(egressOf('{toRequires: [{matchLabels: {"reserved:host": ""}}]}').required?.key).toBe(
      `${isIn} && reserved:host=""`,
    );
    expect(peersOf('{toEndpoints: [{matchLabels: {"reserved:host": ""}}]}')).toEqual(['reserved:host=""']);
  });

  it('of denials are their own', () => {
    const { rules } = onlyPolicy(
      withSpec('endpointSelector: {}, egressDeny: [{toRequires: [{matchLabels: {a: x}}], toEntities: [all]}]'),
    );
    expect(rules[0]?.egress).toMatchObject({ requiredOfDenied: { key: `any:a=x && ${isIn}` } });
    expect(rules[0]?.egress.required).toBeUndefined();
  });
});

describe('the name of a namespace', () => {
  it('stands for the label that Kubernetes gives namespaces, with peers and with subjects', () => {
    const key = '"io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name"';
    expect(peersOf(`{toEndpoints: [{matchLabels: {${key}: away}}]}`)).toEqual(['any:io.kubernetes.pod.namespace=away']);
    const { rules } = onlyPolicy(withSpec(`endpointSelector: {matchLabels: {${key}: away}}, egress: [{}]`));
    expect(rules[0]?.subject.key).toBe(`any:io.kubernetes.pod.namespace=away && ${isIn}`);
  });
});

describe('policies for nodes', () => {
  const clusterwide = (spec: string): string =>
    `{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: p}, spec: {${spec}}}`;

  it('select nodes by their labels', () => {
    const { rules } = onlyPolicy(
      clusterwide('nodeSelector: {matchLabels: {role: db}}, ingress: [{fromEndpoints: [{}]}]'),
    );
    expect(rules[0]).toMatchObject({ appliesTo: 'nodes', subject: { key: 'any:role=db' } });
    expect(rules[0]?.ingress.grants[0]?.peers).toMatchObject([{ key: 'k8s:io.kubernetes.pod.namespace' }]);
  });

  it('are cluster-wide, not for endpoints at the same time, and have no HTTP rules', () => {
    expect(specProblems('nodeSelector: {}, ingress: [{}]')).toEqual([
      expect.stringContaining('spec.nodeSelector: Nodes are selected by policies of the kind CiliumClusterwideNetwork'),
    ]);
    expect(specProblems('nodeSelector: {}, endpointSelector: {}, ingress: [{}]')).toEqual([
      expect.stringContaining('Only one of nodeSelector, endpointSelector may be in one rule'),
    ]);
    const http = 'toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{}]}}]';
    expect(specProblems(`nodeSelector: {}, egress: [{${http}}]`)).toHaveLength(2);
  });
});
