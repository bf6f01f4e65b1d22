// SPDX-License-Identifier: Apache-2.0
// Made-up policies over a small world of labels, so that rules often overlap, contradict and cover each other.
import fc from 'fast-check';
import type { NaiveDocument } from './naive-evaluator.ts';
import type {
  WrittenHttpRule,
  WrittenItem,
  WrittenPort,
  WrittenPortRule,
  WrittenRule,
  WrittenSelector,
} from './policy-document.ts';

const namespaces = ['a', 'b'] as const;
const values = ['x', 'y', 'z'] as const;
const namespaceKey = 'io.kubernetes.pod.namespace';

const labelName = fc.constantFrom('app', 'tier', 'k8s:app', 'any:tier', 'container:app');
const namespaceName = fc.constantFrom(namespaceKey, `k8s:${namespaceKey}`, `any:${namespaceKey}`);
const reservedName = fc.constantFrom('reserved:host', 'reserved:world', 'reserved:init');
const matchLabel = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(labelName, fc.constantFrom<string>(...values)) },
  { weight: 1, arbitrary: fc.tuple(namespaceName, fc.constantFrom<string>(...namespaces)) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constant('io.cilium.k8s.namespace.labels.team'), fc.constantFrom('red', 'blue')),
  },
  { weight: 1, arbitrary: fc.tuple(reservedName, fc.constant('')) },
);
const expressionKey = fc.oneof(
  { weight: 6, arbitrary: labelName },
  { weight: 1, arbitrary: namespaceName },
  { weight: 1, arbitrary: reservedName },
);
const someValues = fc.uniqueArray(fc.constantFrom<string>(...values, ...namespaces), { minLength: 1, maxLength: 3 });
const expression = fc.oneof(
  fc.record({ key: expressionKey, operator: fc.constantFrom('In' as const, 'NotIn' as const), values: someValues }),
  fc.record({ key: expressionKey, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
);

const selector: fc.Arbitrary<WrittenSelector> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({}) },
  { weight: 5, arbitrary: fc.record({ matchLabels: fc.array(matchLabel, { maxLength: 2 }).map(Object.fromEntries) }) },
  { weight: 2, arbitrary: fc.record({ matchExpressions: fc.array(expression, { minLength: 1, maxLength: 2 }) }) },
);
const subjectSelector: fc.Arbitrary<WrittenSelector> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 3, arbitrary: fc.record({ matchLabels: fc.constantFrom({ app: 'x' }, { app: 'y' }, { tier: 'x' }) }) },
  { weight: 2, arbitrary: selector },
);

const entity = fc.constantFrom('all', 'cluster', 'health', 'host', 'init', 'none', 'remote-node', 'unmanaged', 'world');

const portNumber = fc.constantFrom('80', '80', '443', '53', '0');
const port: fc.Arbitrary<WrittenPort> = fc.oneof(
  fc.record({ port: portNumber, protocol: fc.constantFrom('TCP', 'TCP', 'UDP', 'SCTP', 'ANY', '', 'tcp') }),
  fc.record({ port: portNumber }),
);
const ports = fc.array(port, { minLength: 1, maxLength: 2 });
const httpRule: fc.Arbitrary<WrittenHttpRule> = fc.record(
  {
    method: fc.constantFrom('GET', 'GET|PUT', ''),
    path: fc.constantFrom('/a', '/a/.*', '/b'),
    host: fc.constantFrom('h'),
  },
  { requiredKeys: [] },
);
const httpPortRule: fc.Arbitrary<WrittenPortRule> = fc.record({
  ports: fc.array(fc.record({ port: fc.constantFrom('80', '443'), protocol: fc.constant('TCP') }), {
    minLength: 1,
    maxLength: 2,
  }),
  rules: fc.record({ http: fc.array(httpRule, { maxLength: 2 }) }),
});
const plainPortRule: fc.Arbitrary<WrittenPortRule> = fc.record({ ports });

type Direction = 'ingress' | 'egress';

function items(direction: Direction, kind: 'allow' | 'deny'): fc.Arbitrary<WrittenItem[]> {
  const prefix = direction === 'ingress' ? 'from' : 'to';
  const portRule =
    kind === 'deny'
      ? plainPortRule
      : fc.oneof({ weight: 1, arbitrary: plainPortRule }, { weight: 3, arbitrary: httpPortRule });
  const toPorts = fc.option(fc.array(portRule, { minLength: 1, maxLength: 2 }), { nil: undefined });
  const endpoints = fc.array(selector, { maxLength: 2 }).map((list) => ({ [`${prefix}Endpoints`]: list }));
  const entities = fc.array(entity, { maxLength: 2 }).map((list) => ({ [`${prefix}Entities`]: list }));
  const peers = fc.oneof(
    { weight: 4, arbitrary: endpoints },
    { weight: 2, arbitrary: entities },
    { weight: 2, arbitrary: fc.constant({}) },
  );
  const item = fc.tuple(peers, toPorts).map(([peer, list]) => ({ ...peer, ...(list && { toPorts: list }) }));
  return fc.array(item, { maxLength: kind === 'deny' ? 1 : 3 });
}

const sections = fc.record(
  {
    ingress: items('ingress', 'allow'),
    egress: items('egress', 'allow'),
    ingressDeny: items('ingress', 'deny'),
    egressDeny: items('egress', 'deny'),
    enableDefaultDeny: fc.record({ ingress: fc.boolean(), egress: fc.boolean() }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);

/** HTTP rules without default deny are refused; where both came up, the default deny stays. */
function withEnforceableDefault(rule: WrittenRule): WrittenRule {
  const { ingress, egress } = rule.enableDefaultDeny ?? {};
  const hasHttp = (direction: Direction): boolean =>
    (rule[direction] ?? []).some(({ toPorts }) => toPorts?.some(({ rules }) => rules?.http?.length));
  const kept = {
    ...(ingress !== undefined && { ingress: ingress || hasHttp('ingress') }),
    ...(egress !== undefined && { egress: egress || hasHttp('egress') }),
  };
  return rule.enableDefaultDeny === undefined ? rule : { ...rule, enableDefaultDeny: kept };
}

const rule: fc.Arbitrary<WrittenRule> = fc
  .tuple(subjectSelector, sections)
  .map(([endpointSelector, rest]) => withEnforceableDefault({ endpointSelector, ...(rest as Partial<WrittenRule>) }));

const apiVersion = fc.constant('cilium.io/v2' as const);

const namespaced: fc.Arbitrary<NaiveDocument> = fc.record({
  apiVersion,
  kind: fc.constant('CiliumNetworkPolicy' as const),
  metadata: fc.record({ name: fc.constant(''), namespace: fc.constantFrom(...namespaces) }),
  spec: rule,
});
const clusterwide: fc.Arbitrary<NaiveDocument> = fc.record({
  apiVersion,
  kind: fc.constant('CiliumClusterwideNetworkPolicy' as const),
  metadata: fc.record({ name: fc.constant('') }),
  specs: fc.array(rule, { minLength: 1, maxLength: 2 }),
});
const ruleList: fc.Arbitrary<NaiveDocument> = fc.array(rule, { minLength: 1, maxLength: 2 });

/** Documents of all kinds, each with a name of its own. */
export const arbitraryDocuments: fc.Arbitrary<NaiveDocument[]> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: namespaced },
      { weight: 1, arbitrary: clusterwide },
      { weight: 2, arbitrary: ruleList },
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((documents) =>
    documents.map((document, index) =>
      'kind' in document
        ? { ...document, metadata: { ...document.metadata, name: `p${index}` } }
        : document.map((item) => ({ ...item, labels: [`list=${index}`] })),
    ),
  );

const podLabels = fc.record({
  namespace: fc.constantFrom(...namespaces),
  source: fc.constantFrom('k8s', 'k8s', 'k8s', 'container'),
  app: fc.option(fc.constantFrom(...values), { nil: undefined }),
  tier: fc.option(fc.constantFrom(...values), { nil: undefined }),
  isLocalCluster: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
});

/** Labels of a pod, as `source:key=value`. */
export const arbitraryPod: fc.Arbitrary<string[]> = podLabels.map((pod) => [
  `k8s:${namespaceKey}=${pod.namespace}`,
  `k8s:io.cilium.k8s.namespace.labels.team=${pod.namespace === 'a' ? 'red' : 'blue'}`,
  `k8s:io.cilium.k8s.policy.cluster=${pod.isLocalCluster ? 'default' : 'other'}`,
  ...(pod.app === undefined ? [] : [`${pod.source}:app=${pod.app}`]),
  ...(pod.tier === undefined ? [] : [`k8s:tier=${pod.tier}`]),
]);
