// SPDX-License-Identifier: Apache-2.0
import { type PolicyFeature, policyFeatures } from '../feature.ts';
import { formatProblem } from '../problem.ts';
import { parse, problemsOf, specProblems, withSpec } from '../testing/parse-text.ts';

const json = (value: unknown): string => JSON.stringify(value);

describe('fields', () => {
  it.each([
    ['ingres: []', '"ingres" is not known; did you mean "ingress"?'],
    ['Ingress: []', '"Ingress" is not known; letter case counts, write "ingress"'],
    ['endpointselector: {}', '"endpointselector" is not known; letter case counts, write "endpointSelector"'],
    [
      'zone: x',
      '"zone" is not known; expected one of endpointSelector, nodeSelector, ingress, ingressDeny, egress, egressDeny,',
    ],
    ['constructor: x', '"constructor" is not known'],
    ['__proto__: x', '"__proto__" is not known'],
    ['<<: {}', '"<<" is not known'],
  ])('that are not known are refused: %s', (field, message) => {
    expect(specProblems(`endpointSelector: {}, egress: [{}], ${field}`)).toEqual([expect.stringContaining(message)]);
  });

  it.each([
    ['log: {value: x}', 'spec.log: Not enforced by this version: text for the log of flows'],
    ['ingress: [{fromGroups: []}]', 'spec.ingress[0].fromGroups: Not enforced'],
    ['ingress: [{authentication: {}}]', 'spec.ingress[0].authentication: Not enforced'],
    ['ingress: [{fromCIDRSet: [{cidrGroupRef: x}]}]', 'fromCIDRSet[0].cidrGroupRef: Not enforced'],
    ['ingress: [{fromCIDRSet: [{cidrGroupSelector: {}}]}]', 'fromCIDRSet[0].cidrGroupSelector: Not enforced'],
    ['egress: [{toFQDNs: []}]', 'spec.egress[0].toFQDNs: Not enforced by this version: peers by DNS name'],
    ['egressDeny: [{toFQDNs: []}]', 'spec.egressDeny[0].toFQDNs: Not enforced by this version: denials by DNS name'],
    ['egress: [{toGroups: []}]', 'spec.egress[0].toGroups: Not enforced'],
    [
      'egress: [{toEntities: [kube-apiserver]}]',
      'toEntities[0]: Not enforced by this version: the entity "kube-apiserver"',
    ],
    ['egress: [{toEntities: [ingress]}]', 'toEntities[0]: Not enforced by this version: the entity "ingress"'],
    ['ingress: [{toPorts: [{ports: [{port: "1"}], listener: {}}]}]', 'toPorts[0].listener: Not enforced'],
    ['ingress: [{toPorts: [{ports: [{port: "1"}], serverNames: []}]}]', 'toPorts[0].serverNames: Not enforced'],
    ['ingress: [{toPorts: [{ports: [{port: "1"}], terminatingTLS: {}}]}]', 'toPorts[0].terminatingTLS: Not enforced'],
    ['ingress: [{toPorts: [{ports: [{port: "1"}], originatingTLS: {}}]}]', 'toPorts[0].originatingTLS: Not enforced'],
    ...['dns: []', 'kafka: []', 'l7: []', 'l7proto: x'].map((rules) => [
      `ingress: [{toPorts: [{ports: [{port: "1", protocol: TCP}], rules: {${rules}}}]}]`,
      `toPorts[0].rules.${rules.split(':')[0]}: Not enforced`,
    ]),
    [
      'ingress: [{toPorts: [{ports: [{port: "1", protocol: TCP}], rules: {http: [{headerMatches: [{name: x, secret: {}}]}]}}]}]',
      'http[0].headerMatches[0].secret: Not enforced by this version: values from secrets; write the value',
    ],
  ])('that are known but not enforced are refused by name: %s', (field, message) => {
    expect(specProblems(`endpointSelector: {}, ${field}`)).toEqual([expect.stringContaining(message)]);
  });

  const needy: [PolicyFeature, string, string][] = [
    ['cidr', 'ingress: [{fromCIDR: []}]', 'spec.ingress[0].fromCIDR: Not enforced by this version: peers by address'],
    ['cidr', 'ingress: [{fromCIDRSet: []}]', 'spec.ingress[0].fromCIDRSet: Not enforced'],
    ['cidr', 'ingressDeny: [{fromCIDR: []}]', 'spec.ingressDeny[0].fromCIDR: Not enforced'],
    ['cidr', 'egress: [{toCIDR: []}]', 'spec.egress[0].toCIDR: Not enforced'],
    ['cidr', 'egress: [{toCIDRSet: []}]', 'spec.egress[0].toCIDRSet: Not enforced'],
    ['cidr', 'egress: [{toEndpoints: [{matchLabels: {"cidr:1.0.0.0/8": ""}}]}]', 'matchLabels["cidr:1.0.0.0/8"]: Not'],
    ['nodeLabels', 'ingress: [{fromNodes: []}]', 'spec.ingress[0].fromNodes: Not enforced by this version: peers by'],
    ['nodeLabels', 'egress: [{toNodes: []}]', 'spec.egress[0].toNodes: Not enforced'],
    ['icmp', 'ingress: [{icmps: [{}]}]', 'spec.ingress[0].icmps: Not enforced by this version: types of ICMP message'],
    ['icmp', 'egressDeny: [{icmps: [{}]}]', 'spec.egressDeny[0].icmps: Not enforced'],
    ['services', 'egress: [{toServices: []}]', 'spec.egress[0].toServices: Not enforced'],
    ['portRanges', 'ingress: [{toPorts: [{ports: [{port: "1", endPort: 2}]}]}]', 'ports[0].endPort: Not enforced'],
    [
      'namedPorts',
      'ingress: [{toPorts: [{ports: [{port: http}]}]}]',
      'ports[0].port: Not enforced by this version: "http" as the name of a port',
    ],
    ...['headers: []', 'headerMatches: []'].map((field): [PolicyFeature, string, string] => [
      'httpHeaders',
      `ingress: [{toPorts: [{ports: [{port: "1", protocol: TCP}], rules: {http: [{${field}}]}}]}]`,
      `http[0].${field.split(':')[0]}: Not enforced by this version: conditions on headers other than Host`,
    ]),
  ];
  it.each(needy)(
    'that need the feature %s are refused by name where it is not there: %s',
    (feature, field, message) => {
      const others = policyFeatures.filter((other) => other !== feature);
      expect(specProblems(`endpointSelector: {}, ${field}`, others)).toEqual([expect.stringContaining(message)]);
      expect(specProblems(`endpointSelector: {}, ${field}`)).toEqual([]);
    },
  );

  it('of policies for nodes are refused by name where there are none', () => {
    const policy = '{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {name: p}, spec: {';
    expect(problemsOf(`${policy} nodeSelector: {}, ingress: [{}]}}`, [])).toEqual([
      expect.stringContaining('spec.nodeSelector: Not enforced by this version: policies for nodes'),
    ]);
    expect(problemsOf(`${policy} nodeSelector: {}, ingress: [{}]}}`, ['hostPolicy'])).toEqual([]);
  });

  it('of kinds that exclude each other are refused', () => {
    expect(specProblems('endpointSelector: {}, ingress: [{fromEndpoints: [], fromEntities: []}]')).toEqual([
      expect.stringContaining('spec.ingress[0].fromEntities: Only one of fromEndpoints, fromEntities, fromCIDR,'),
    ]);
  });

  it('that are needed are missed', () => {
    expect(specProblems('ingress: [{}]')).toEqual([
      'policy.yaml:2:7: spec.endpointSelector: Field "endpointSelector" is missing; {} selects every endpoint',
    ]);
    expect(problemsOf('{kind: CiliumNetworkPolicy}').map((text) => text.replace(/^.*?: /, ''))).toEqual([
      'apiVersion: Field "apiVersion" is missing',
      'metadata: Field "metadata" is missing',
      'spec: Field "spec" is missing, and "specs", too',
    ]);
  });

  it('are not null, which could mean absent or empty', () => {
    expect(specProblems('endpointSelector: , ingress: ')).toEqual([
      expect.stringContaining('spec.endpointSelector: null is not a mapping'),
      expect.stringContaining('spec.ingress: null is not a list; leave the field out, or write [] for no item'),
    ]);
  });

  it('have the type that they have', () => {
    expect(
      specProblems('endpointSelector: [], ingress: {}, description: 7, enableDefaultDeny: {ingress: "no"}'),
    ).toEqual([
      expect.stringContaining('spec.endpointSelector: [] is not a mapping'),
      expect.stringContaining('spec.ingress: {} is not a list'),
      expect.stringContaining('spec.description: 7 is a number, expected a string; write "7" in quotes'),
      expect.stringContaining('spec.enableDefaultDeny.ingress: "no" is not true or false'),
    ]);
    expect(
      problemsOf(
        json({ apiVersion: 'cilium.io/v1', kind: 'CiliumNetworkPolicy', metadata: { name: 'p' }, spec: {} }),
      )[0],
    ).toContain('apiVersion: "cilium.io/v1" is not the API version of a policy (one of cilium.io/v2)');
  });
});

describe('selectors', () => {
  const selector = (text: string): string[] => specProblems(`endpointSelector: ${text}, ingress: [{}]`);

  it.each([
    ['{matchLabels: {app: 1}}', 'matchLabels.app: 1 is a number, expected a string; write "1" in quotes'],
    ['{matchLabels: {app: true}}', 'matchLabels.app: true is a boolean, expected a string'],
    ['{matchLabels: {"k9s:app": x}}', 'matchLabels["k9s:app"]: "k9s" in "k9s:app" is not a label source'],
    ['{matchLabels: {"a b": x}}', 'matchLabels["a b"]: "a b" is not a label key'],
    ['{matchLabels: {a: "x;y"}}', 'matchLabels.a: "x;y" is not a label value'],
    ['{matchlabels: {}}', '"matchlabels" is not known; letter case counts, write "matchLabels"'],
    ['{matchExpressions: [{key: a}]}', 'matchExpressions[0].operator: Field "operator" is missing'],
    ['{matchExpressions: [{key: a, operator: in, values: [x]}]}', '"in" is not an operator (one of In, NotIn, Exists,'],
    ['{matchExpressions: [{key: a, operator: In}]}', 'values: Operator In needs at least one value'],
    ['{matchExpressions: [{key: a, operator: NotIn, values: []}]}', 'values: Operator NotIn needs at least one value'],
    ['{matchExpressions: [{key: a, operator: Exists, values: [x]}]}', 'values: Operator Exists takes no values'],
  ])('%s is refused', (text, message) => {
    expect(selector(text)).toEqual([expect.stringContaining(message)]);
  });
});

describe('HTTP rules', () => {
  const http = (rules: string, ports = '[{port: "80", protocol: TCP}]'): string =>
    `endpointSelector: {}, ingress: [{toPorts: [{ports: ${ports}, rules: {http: ${rules}}}]}]`;

  it.each([
    ['/a(b', 'missing closing ) at character 3'],
    ['/a[b', 'missing closing ] at character 3'],
    ['(a)(b', 'missing closing ) at character 4'],
    ['x{1001}', 'invalid repeat count at character 2'],
    ['a**', 'invalid nested repetition operator at character 2'],
    ['ab)', 'unexpected ) at character 3'],
    ['(?=a)', 'invalid or unsupported Perl syntax at character 1'],
    ['(a)\\\\1', 'invalid escape sequence at character 4'],
    ['[z-a]', 'invalid character class range at character 2'],
    ['a\\\\', 'trailing backslash at end of expression at character 2'],
  ])('say where %s is not a regular expression', (pattern, message) => {
    for (const field of ['path', 'method', 'host']) {
      const [problem, ...others] = specProblems(http(`[{${field}: "${pattern}"}]`));
      expect(others).toEqual([]);
      expect(problem).toContain(`rules.http[0].${field}: "`);
      expect(problem).toContain(`is not a regular expression (RE2): ${message}`);
    }
  });

  it('bound the length and the size of expressions', () => {
    expect(specProblems(http(`[{path: "${'a'.repeat(1025)}"}]`))).toEqual([
      expect.stringContaining('Regular expression has 1025 characters; expected at most 1024'),
    ]);
    expect(specProblems(http('[{path: "(.{1,100}){1,10}"}]'))).toEqual([
      expect.stringMatching(/compiles to \d+ instructions; expected at most 2000$/),
    ]);
  });

  it('need TCP and a port', () => {
    expect(specProblems(http('[{}]', '[{port: "80"}]'))).toEqual([
      expect.stringContaining('ports[0].protocol: HTTP rules need the protocol TCP'),
    ]);
    expect(specProblems(http('[{}]', '[{port: "0", protocol: TCP}]'))).toEqual([
      expect.stringContaining('ports[0].port: "0" is not a port for HTTP rules (1–65535)'),
    ]);
  });

  it('are not for denials', () => {
    expect(specProblems(http('[{}]').replace('ingress', 'ingressDeny'))).toEqual([
      expect.stringContaining(
        'ingressDeny[0].toPorts[0].rules: Denying rules say whole ports; deny requests by allowing',
      ),
    ]);
  });

  it('are refused where default deny is turned off, which the datapath could not tell apart', () => {
    expect(specProblems(`${http('[{}]')}, enableDefaultDeny: {ingress: false}`, ['cidr'])).toEqual([
      expect.stringContaining(
        'spec.enableDefaultDeny.ingress: Not enforced by this version: default deny turned off beside HTTP rules for ingress',
      ),
    ]);
    expect(specProblems(`${http('[{}]')}, enableDefaultDeny: {egress: false, ingress: true}`, [])).toEqual([]);
    expect(specProblems(`${http('[]')}, enableDefaultDeny: {ingress: false}`, [])).toEqual([]);
    expect(specProblems(`${http('[{}]')}, enableDefaultDeny: {ingress: false}`, ['defaultAllow'])).toEqual([]);
  });
});

describe('warnings', () => {
  it('tell of a namespace that is overridden, and the policy is taken', () => {
    const { policies, warnings } = parse(
      withSpec('endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": other}}, ingress: [{}]'),
    );
    expect(policies[0]?.rules[0]?.subject.key).toBe('k8s:io.kubernetes.pod.namespace=default');
    expect(warnings.map(formatProblem)).toEqual([
      'policy.yaml:3:19: spec.endpointSelector: Namespace "other" is overridden: the policy selects in its own, "default"',
    ]);
  });

  it('tell of a rule without effect', () => {
    expect(parse(withSpec('endpointSelector: {}, ingress: []')).warnings.map(formatProblem)).toEqual([
      'policy.yaml:2:7: spec: Rule has no effect: it neither allows nor denies anything, in no direction',
    ]);
  });
});
