// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { plainValue } from './document/document-node.ts';
import { readDocuments } from './document/read-documents.ts';
import { policyLimits } from './limits.ts';
import { parsePolicyFiles } from './parse-policy-files.ts';
import { createProblemList, formatProblem } from './problem.ts';
import type { Policy } from './rule.ts';
import { onlyPolicy, parse, problemsOf, withSpec } from './testing/parse-text.ts';

const json = (value: unknown): string => JSON.stringify(value);

const yaml = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: web
  namespace: shop
spec:
  endpointSelector:
    matchLabels: {app: web}
  ingress:
    - fromEndpoints:
        - matchLabels: {app: front}
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules:
            http:
              - {method: GET, path: /a}
              - {path: "", method: ""}
`;

describe('parsePolicyFiles()', () => {
  it('reads a policy with its key, places and rules', () => {
    const policy = onlyPolicy(yaml);
    expect(policy).toMatchObject({
      key: 'CiliumNetworkPolicy/shop/web',
      kind: 'CiliumNetworkPolicy',
      namespace: 'shop',
      name: 'web',
      source: { file: 'policy.yaml', line: 1 },
    });
    const [rule] = policy.rules;
    expect(rule?.lines).toEqual({ first: 7, last: 17 });
    expect(rule?.subject.key).toBe('any:app=web && k8s:io.kubernetes.pod.namespace=shop');
    expect(rule?.egress).toEqual({ defaultDeny: false, grants: [] });
    expect(rule?.ingress.defaultDeny).toBe(true);
    expect(rule?.ingress.grants).toMatchObject([
      {
        verdict: 'allow',
        ports: [{ protocol: 6, port: 80 }],
        // A rule without conditions lets every request through, so that the other one says nothing.
        http: [{}],
        path: 'spec.ingress[0].toPorts[0]',
        line: 13,
      },
    ]);
    expect(rule?.labels).toEqual([
      'k8s:io.cilium.k8s.policy.derived-from=CiliumNetworkPolicy',
      'k8s:io.cilium.k8s.policy.name=web',
      'k8s:io.cilium.k8s.policy.namespace=shop',
    ]);
  });

  it('takes "default" for a namespace that is not there', () => {
    expect(onlyPolicy(withSpec('endpointSelector: {}, ingress: [{}]')).key).toBe('CiliumNetworkPolicy/default/p');
  });

  it('reads specs after spec', () => {
    const document = { endpointSelector: {}, ingress: [{}] };
    const object = {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNetworkPolicy',
      metadata: { name: 'p' },
      specs: [
        { ...document, description: 'b' },
        { ...document, description: 'c' },
      ],
      spec: { ...document, description: 'a' },
    };
    expect(onlyPolicy(json(object)).rules.map(({ description }) => description)).toEqual(['a', 'b', 'c']);
  });

  it('reads several documents of a file, and skips empty ones', () => {
    const second = yaml.replace('name: web', 'name: other');
    const { policies, problems } = parse(`---\n${yaml}---\n# nothing here\n---\n${second}`);
    expect(problems).toEqual([]);
    expect(policies.map(({ name, source }) => [name, source.line])).toEqual([
      ['web', 2],
      ['other', 22],
    ]);
  });

  it('reads what kubectl prints: lists, status and metadata of the API server', () => {
    const item = {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNetworkPolicy',
      metadata: { name: 'p', namespace: 'n', uid: 'u-1', resourceVersion: '7', annotations: { a: 'b' }, generation: 1 },
      spec: { endpointSelector: {}, ingress: [{}] },
      status: { conditions: [] },
    };
    const policy = onlyPolicy(json({ apiVersion: 'v1', kind: 'List', metadata: {}, items: [item] }));
    expect(policy.key).toBe('CiliumNetworkPolicy/n/p');
    expect(policy.rules[0]?.labels).toContain('k8s:io.cilium.k8s.policy.uid=u-1');
    expect(JSON.parse(policy.document)).toEqual({
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNetworkPolicy',
      metadata: { name: 'p', namespace: 'n', uid: 'u-1' },
      spec: item.spec,
    });
  });

  it('gives equal documents to equal policies, and reads the same policy from the document', () => {
    const [policy, again] = [onlyPolicy(yaml), onlyPolicy(json(JSON.parse(onlyPolicy(yaml).document)))];
    expect(again.document).toBe(policy.document);
    expect(again.key).toBe(policy.key);
    const withoutPlaces = (of: Policy): string => json(of.rules).replaceAll(/"(line|first|last)":\d+/g, '');
    expect(withoutPlaces(again)).toBe(withoutPlaces(policy));
  });

  it('reads bytes, with a byte order mark and the line ends of Windows, too', () => {
    const bytes = new TextEncoder().encode(`\uFEFF${yaml.replaceAll('\n', '\r\n')}`);
    expect(parse(bytes)).toMatchObject({ problems: [], policies: [{ name: 'web' }] });
  });

  it('expands aliases', () => {
    const policy = onlyPolicy(
      withSpec('endpointSelector: {matchLabels: &l {app: web}}, ingress: [{fromEndpoints: [{matchLabels: *l}]}]'),
    );
    expect(policy.rules[0]?.ingress.grants[0]?.peers).toMatchObject([
      { key: 'any:app=web && k8s:io.kubernetes.pod.namespace=default' },
    ]);
  });

  it('knows no other kinds', () => {
    const kind = (text: string): string[] => problemsOf(`kind: ${text}`);
    expect(kind('CilliumNetworkPolicy')).toEqual([
      'policy.yaml:1:7: kind: "CilliumNetworkPolicy" is not a kind of policy; did you mean "CiliumNetworkPolicy"?',
    ]);
    expect(kind('Service')[0]).toContain('"Service" is not a kind of policy; expected CiliumNetworkPolicy, ');
    expect(problemsOf('metadata: {}')[0]).toContain('kind: Field "kind" is missing');
    expect(problemsOf('endpointSelector: {}')[0]).toContain('A rule by itself is not a policy; write a list of rules');
    expect(problemsOf('hello')[0]).toBe(
      'policy.yaml:1:1: hello is not a policy; expected CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy, NetworkPolicy, or a list of rules',
    );
  });

  it('reports all problems of all files in one list, in their order', () => {
    const files = [
      { name: 'b.yaml', content: 'a: [1' },
      { name: 'a.json', content: json([{ endpointSelector: {}, ingres: [], egress: [{ toEntities: ['moon'] }] }]) },
    ];
    expect(parsePolicyFiles(files).problems.map(formatProblem)).toEqual([
      expect.stringMatching(/^b\.yaml:1:6: /),
      'a.json:1:25: [0].ingres: Field "ingres" is not known; did you mean "ingress"?',
      'a.json:1:62: [0].egress[0].toEntities[0]: "moon" is not an entity (one of all, cluster, health, host, init, ' +
        'none, remote-node, unmanaged, world)',
    ]);
  });

  it('gives each problem its file, line, column, path, value and message', () => {
    expect(parse(yaml.replace('"80"', '"70000"')).problems).toEqual([
      {
        file: 'policy.yaml',
        line: 13,
        column: 26,
        path: 'spec.ingress[0].toPorts[0].ports[0].port',
        value: '"70000"',
        message: '"70000" is not a port (0–65535; 0 is every port)',
      },
    ]);
  });

  it('shows neither control characters nor endless text', () => {
    const [escape, long] = ['"\\e[31m\\n"', `"${'x'.repeat(10_000)}"`].map(
      (port) => problemsOf(yaml.replace('"80"', port))[0]!,
    );
    expect(escape).toContain('.port: "\\u001b[31m\\n" is neither a port');
    expect(long!.length).toBeLessThan(600);
  });

  it('gives no policy that has a problem', () => {
    const { policies, problems } = parse(
      `${yaml}---\n${yaml.replace('name: web', 'name: other').replace('80', 'x y')}`,
    );
    expect(policies.map(({ name }) => name)).toEqual(['web']);
    expect(problems).toHaveLength(1);
  });
});

describe('parsePolicyFiles() with what nobody should write', () => {
  const scalar = fc.oneof(
    fc.constantFrom('', '80', 'TCP', 'a', '/x(', null, true, 7, -1, 1e99),
    fc.string({ maxLength: 4 }),
  );
  const name = fc.constantFrom(
    ...[
      'kind',
      'apiVersion',
      'metadata',
      'name',
      'namespace',
      'spec',
      'specs',
      'items',
      'endpointSelector',
      'matchLabels',
    ],
    ...[
      'matchExpressions',
      'key',
      'operator',
      'values',
      'ingress',
      'egressDeny',
      'fromEndpoints',
      'toEntities',
      'toPorts',
    ],
    ...[
      'ports',
      'port',
      'protocol',
      'rules',
      'http',
      'path',
      'labels',
      'enableDefaultDeny',
      '__proto__',
      'constructor',
    ],
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6, depthSize: 'small' },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.array(fc.tuple(name, tie('value')), { maxLength: 6 }).map(Object.fromEntries),
    ),
  }));

  it('finds places for all problems of any structure, and never throws', () => {
    const kind = fc.constantFrom('CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy', 'List');
    const object = fc.tuple(kind, value, value, value).map(([k, metadata, spec, specs]) => ({
      ...{ apiVersion: 'cilium.io/v2', kind: k, metadata, spec, specs, items: specs },
    }));
    fc.assert(
      fc.property(fc.oneof(object, fc.array(value), value), (document) => {
        const { problems, policies } = parse(json(document));
        const isPolicy = /^\{"apiVersion":"cilium.io.v2","kind":"Cilium/.test(json(document));
        if (isPolicy) expect(policies.length + problems.length).toBeGreaterThan(0);
        for (const problem of problems) {
          expect(problem.line).toBe(1);
          expect(problem.column).toBeGreaterThan(0);
          expect(problem.message).not.toBe('');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('never throws for any text', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '\n',
        '  ',
        '- ',
        ': ',
        '{',
        '}',
        '[',
        ']',
        ',',
        '"',
        "'",
        '&a ',
        '*a',
        '!!str ',
        '? ',
        '---\n',
        '|\n',
        '%',
      ),
      fc.string({ maxLength: 3, unit: 'binary' }),
      name,
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => void parse(pieces.join(''))),
      { numRuns: 500 },
    );
  });
});

describe('names', () => {
  it('must be given, and be names as Kubernetes has them', () => {
    const named = (metadata: string): string =>
      withSpec('endpointSelector: {}, ingress: [{}]').replace('{name: p}', metadata);
    expect(problemsOf(named('{}'))).toEqual(['policy.yaml:1:65: metadata.name: Field "name" is missing']);
    expect(problemsOf(named(`{name: ${'a'.repeat(100)}.b}`))).toEqual([]);
    expect(problemsOf(named(`{name: ${'a'.repeat(254)}}`))[0]).toContain('is not a name');
    expect(problemsOf(named('{name: Web}'))[0]).toContain(
      'metadata.name: "Web" is not a name (1–253 lower-case letters',
    );
    expect(problemsOf(named('{name: p, namespace: a.b}'))[0]).toContain('"a.b" is not a namespace');
    expect(problemsOf(named('{name: p, nmae: q}'))[0]).toContain(
      'metadata.nmae: Field "nmae" is not known; did you mean "name"?',
    );
  });

  it('may occur once in an import', () => {
    const { policies, problems } = parsePolicyFiles([
      { name: 'a.yaml', content: yaml },
      { name: 'b.yaml', content: `\n${yaml}` },
    ]);
    expect(policies).toHaveLength(1);
    expect(problems.map(formatProblem)).toEqual([
      'b.yaml:2:1: metadata.name: CiliumNetworkPolicy "web" occurs twice in this import, first in a.yaml, line 1',
    ]);
  });

  it('may be the same in two namespaces, and of two kinds', () => {
    const others = [
      yaml.replace('namespace: shop', 'namespace: b'),
      yaml.replace('kind: Cilium', 'kind: CiliumClusterwide'),
    ];
    const { policies, problems } = parse(
      [yaml, ...others].join('---\n').replace(/(Clusterwide[^-]*)  namespace: shop\n/, '$1'),
    );
    expect(problems.map(formatProblem)).toEqual([]);
    expect(policies.map(({ key }) => key)).toEqual([
      'CiliumNetworkPolicy/shop/web',
      'CiliumNetworkPolicy/b/web',
      'CiliumClusterwideNetworkPolicy//web',
    ]);
  });

  it('of cluster-wide policies have no namespace', () => {
    expect(problemsOf(yaml.replace('kind: Cilium', 'kind: CiliumClusterwide'))).toEqual([
      'policy.yaml:5:14: metadata.namespace: A CiliumClusterwideNetworkPolicy has no namespace; leave it out',
    ]);
  });
});

describe('lists of rules', () => {
  const rule = (port: string, labels?: unknown): unknown => ({
    ...(labels === undefined ? {} : { labels }),
    endpointSelector: {},
    ingress: [{ toPorts: [{ ports: [{ port }] }] }],
  });

  it('make one policy for each set of labels, whatever the order and form of the labels', () => {
    const { policies, problems } = parse(
      json([
        rule('1', ['a=1', 'k8s:b']),
        rule('2', [
          { key: 'b', source: 'k8s' },
          { key: 'a', value: '1', source: 'unspec' },
        ]),
        rule('3', ['a=2']),
      ]),
    );
    expect(problems.map(formatProblem)).toEqual([]);
    expect(policies.map(({ key, rules }) => [key, rules.length])).toEqual([
      ['RuleList//k8s:b,unspec:a=1', 2],
      ['RuleList//unspec:a=2', 1],
    ]);
  });

  it('without labels are named by their content, so that the same file is the same policy', () => {
    const [one, same, other] = [[rule('1')], [rule('1')], [rule('2')]].map((list) => onlyPolicy(json(list)).key);
    expect(one).toMatch(/^RuleList\/\/[0-9a-f]{16}$/);
    expect(same).toBe(one);
    expect(other).not.toBe(one);
  });

  it('may be written as YAML, too', () => {
    expect(onlyPolicy('- endpointSelector: {}\n  ingress: [{}]\n').rules[0]?.lines).toEqual({ first: 1, last: 2 });
  });

  it('report malformed labels', () => {
    const labels = ['foo:a=b', 'a b', { key: 'x', source: 'moon' }, { value: 'v' }, 7];
    expect(problemsOf(json([rule('1', labels)])).map((text) => text.replace(/^.*?: /, ''))).toEqual([
      expect.stringContaining('[0].labels[0]: "foo" in "foo:a" is not a label source'),
      expect.stringContaining('[0].labels[1]: "a b" is not a label key'),
      expect.stringContaining('[0].labels[2].source: "moon" is not a label source'),
      expect.stringContaining('[0].labels[3].key: Field "key" is missing'),
      expect.stringContaining('[0].labels[4]: 7 is a number, expected a string; write "7" in quotes'),
    ]);
  });
});

describe('documents', () => {
  it.each([
    ['an open bracket', 'a: [1\nb: 2', /^policy\.yaml:2:1: .*must be sufficiently indented and end with a \]$/],
    ['a tab as indentation', 'a:\n\tb: 1', /^policy\.yaml:2:1: Tabs are not allowed as indentation$/],
    ['a mapping inside a line', 'a: b: c', /^policy\.yaml:1:4: Nested mappings are not allowed/],
    ['an open quote', '[{"a": "b]', /^policy\.yaml:1:11: Missing closing "quote$/],
    ['text after the end of JSON', '[] x', /^policy\.yaml:1:4: Unexpected scalar/],
    ['an unknown tag', 'a: !!python/object x', /^policy\.yaml:1:4: Unresolved tag/],
    ['an alias without anchor', 'a: *b', /^policy\.yaml:1:4: Alias "\*b" has no anchor$/],
    ['a duplicate key', 'a: 1\nb: 2\na: 3', /^policy\.yaml:3:1: Key "a" occurs twice in one mapping$/],
    ['a duplicate key in JSON', '[{"b": 1, "b": 2}]', /^policy\.yaml:1:11: Key "b" occurs twice in one mapping$/],
    ['a key that is not a string', '? {a: 1}\n: 2', /^policy\.yaml:1:1: Key of a mapping is not a string$/],
  ])('with %s have one problem with its place', (_what, content, expected) => {
    expect(problemsOf(content)).toEqual([expect.stringMatching(expected)]);
  });

  it('that are broken do not hide the problems of the others', () => {
    expect(problemsOf('a: [1\n---\nkind: x\n')).toHaveLength(2);
  });

  it('must be UTF-8', () => {
    expect(problemsOf(Uint8Array.of(0x61, 0xff))).toEqual(['policy.yaml:1:1: File is not UTF-8 text']);
  });

  it('may not be longer than the limit, in bytes', () => {
    expect(problemsOf('é'.repeat(policyLimits.fileBytesMax / 2 + 1))).toEqual([
      'policy.yaml:1:1: File has 1048578 bytes; expected at most 1048576',
    ]);
  });

  it('may not be nested deeper than the limit, however deep they are', () => {
    for (const depth of [policyLimits.nestingMax + 2, 10_000]) {
      for (const nested of ['['.repeat(depth) + ']'.repeat(depth), '- '.repeat(depth)]) {
        expect(problemsOf(nested)).toEqual([expect.stringContaining('Values are nested more than 32 deep')]);
      }
    }
  });

  it('may not blow up by aliases', () => {
    const bomb = [
      'a0: &a0 [x]',
      ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`),
    ];
    expect(problemsOf(bomb.join('\n'))).toEqual([
      expect.stringContaining('File has more than 200000 values, aliases expanded'),
    ]);
  });

  it('may have many aliases', () => {
    expect(problemsOf(`x: &a 1\ny: [${'*a,'.repeat(90_000)}]`)).toEqual([expect.stringContaining('"kind" is missing')]);
  });

  it('mean by an alias the last anchor before it', () => {
    const text = 'a: &l 1\nb: &m {labels: [*l]}\nc: &l 2\nd: *m\ne: *l\nlabels: *m';
    const { documents } = readDocuments({ name: 'x', content: text }, createProblemList());
    expect(plainValue(documents[0]!)).toEqual({
      ...{ a: 1, b: { labels: [1] }, c: 2, d: { labels: [1] }, e: 2, labels: { labels: [1] } },
    });
  });

  it('may not contain themselves', () => {
    expect(problemsOf('a: &a [*a]')).toEqual([expect.stringContaining('nested more than 32 deep')]);
  });

  it('may not be more than the limit', () => {
    const many = '--- {}\n'.repeat(policyLimits.documentsPerFileMax + 1);
    expect(problemsOf(many).at(-1)).toContain('problems are not listed');
    expect(parse(many).problems).toHaveLength(policyLimits.problemsPerImportMax + 1);
  });

  it('may not have more rules than the limit', () => {
    const rule = { endpointSelector: {}, ingress: [{}] };
    const list = json(Array.from({ length: policyLimits.rulesPerPolicyMax + 1 }, () => rule));
    expect(problemsOf(list)).toEqual(['policy.yaml:1:1: List has 1001 rules; expected at most 1000']);
  });
});
