// SPDX-License-Identifier: Apache-2.0
// Made-up policies over a small world of labels, so that rules often overlap, contradict and cover each other.
import fc from 'fast-check';
import { arbitraryNetworkPolicy } from './arbitrary-network-policy.ts';
import { arbitraryIcmpRule, arbitraryPlainPortRule, arbitraryPortRule } from './arbitrary-ports.ts';
import {
  arbitraryNodeSelector,
  arbitrarySelector,
  arbitrarySubjectSelector,
  namespaces,
} from './arbitrary-selector.ts';
import { arbitraryCidr, arbitraryCidrRule } from './arbitrary-world.ts';
import type { WrittenDocument, WrittenItem, WrittenRule, WrittenSelector, WrittenService } from './policy-document.ts';

const entity = fc.constantFrom('all', 'cluster', 'health', 'host', 'init', 'none', 'remote-node', 'unmanaged', 'world');

const inNamespace = fc.constantFrom({}, { namespace: 'a' }, { namespace: 'b' });
const namedService = fc
  .tuple(fc.constantFrom('db', 'cache', 'none'), inNamespace)
  .map(([serviceName, where]): WrittenService => ({ k8sService: { serviceName, ...where } }));
const selectedServices = fc
  .tuple(fc.constantFrom<WrittenSelector>({}, { matchLabels: { env: 'prod' } }), inNamespace)
  .map(([selector, where]): WrittenService => ({ k8sServiceSelector: { selector, ...where } }));
const service = fc.oneof(namedService, selectedServices);

type Direction = 'ingress' | 'egress';
type Ports = 'plain' | 'any';

/** Something for one member that names peers, or for none. */
function peers(direction: Direction): fc.Arbitrary<WrittenItem> {
  const prefix = direction === 'ingress' ? 'from' : 'to';
  const listOf = (member: string, one: fc.Arbitrary<unknown>): fc.Arbitrary<WrittenItem> =>
    fc.array(one, { maxLength: 2 }).map((list) => ({ [`${prefix}${member}`]: list }));
  return fc.oneof(
    { weight: 8, arbitrary: listOf('Endpoints', arbitrarySelector) },
    { weight: 4, arbitrary: listOf('Entities', entity) },
    { weight: 2, arbitrary: listOf('CIDR', arbitraryCidr) },
    { weight: 3, arbitrary: listOf('CIDRSet', arbitraryCidrRule) },
    { weight: 2, arbitrary: listOf('Nodes', arbitraryNodeSelector) },
    { weight: direction === 'egress' ? 3 : 0, arbitrary: listOf('Services', service) },
    { weight: 5, arbitrary: fc.constant({}) },
  );
}

function items(
  direction: Direction,
  options: { readonly ports: Ports; readonly itemsMax: number },
): fc.Arbitrary<WrittenItem[]> {
  const { ports, itemsMax } = options;
  const portRule = ports === 'plain' ? arbitraryPlainPortRule : arbitraryPortRule;
  const toPorts = fc.array(portRule, { minLength: 1, maxLength: 2 }).map((list): WrittenItem => ({ toPorts: list }));
  const icmps = fc
    .array(arbitraryIcmpRule, { minLength: 1, maxLength: 2 })
    .map((list): WrittenItem => ({ icmps: list }));
  const about = fc.oneof(
    { weight: 5, arbitrary: toPorts },
    { weight: 1, arbitrary: icmps },
    { weight: 3, arbitrary: fc.constant<WrittenItem>({}) },
  );
  const member = direction === 'ingress' ? 'fromRequires' : 'toRequires';
  const requires = fc.oneof(
    { weight: 12, arbitrary: fc.constant<WrittenItem>({}) },
    {
      weight: 1,
      arbitrary: fc.array(arbitrarySelector, { maxLength: 2 }).map((list): WrittenItem => ({ [member]: list })),
    },
  );
  const item = fc
    .tuple(peers(direction), about, requires)
    // Ports beside services are refused.
    .map(([peer, ports, required]) => ({
      ...peer,
      ...('toServices' in peer && 'toPorts' in ports ? {} : ports),
      ...required,
    }));
  return fc.array(item, { maxLength: itemsMax });
}

const sections = (ports: Ports): fc.Arbitrary<Partial<WrittenRule>> =>
  fc.record(
    {
      ingress: items('ingress', { ports, itemsMax: 3 }),
      egress: items('egress', { ports, itemsMax: 3 }),
      ingressDeny: items('ingress', { ports: 'plain', itemsMax: 1 }),
      egressDeny: items('egress', { ports: 'plain', itemsMax: 1 }),
      enableDefaultDeny: fc.record({ ingress: fc.boolean(), egress: fc.boolean() }, { requiredKeys: [] }),
    },
    { requiredKeys: [] },
  );

/** HTTP rules without default deny are refused where the datapath has no other default; the default deny then stays. */
function withDefaultDeny(rule: WrittenRule): WrittenRule {
  const { ingress, egress } = rule.enableDefaultDeny ?? {};
  const hasHttp = (direction: Direction): boolean =>
    (rule[direction] ?? []).some(({ toPorts }) => toPorts?.some(({ rules }) => rules?.http?.length));
  const kept = {
    ...(ingress !== undefined && { ingress: ingress || hasHttp('ingress') }),
    ...(egress !== undefined && { egress: egress || hasHttp('egress') }),
  };
  return rule.enableDefaultDeny === undefined ? rule : { ...rule, enableDefaultDeny: kept };
}

/** The documents as a datapath without the feature `defaultAllow` takes them. */
export function withoutDefaultAllow(documents: readonly WrittenDocument[]): WrittenDocument[] {
  return documents.map((document): WrittenDocument => {
    if (!('kind' in document)) return document.map(withDefaultDeny);
    if (document.kind === 'NetworkPolicy') return document;
    const { spec, specs } = document;
    return {
      ...document,
      ...(spec !== undefined && { spec: withDefaultDeny(spec) }),
      ...(specs !== undefined && { specs: specs.map(withDefaultDeny) }),
    };
  });
}

const rule: fc.Arbitrary<WrittenRule> = fc
  .tuple(arbitrarySubjectSelector, sections('any'))
  .map(([endpointSelector, rest]) => ({ endpointSelector, ...rest }));
const nodeRule: fc.Arbitrary<WrittenRule> = fc
  .tuple(arbitraryNodeSelector, sections('plain'))
  .map(([nodeSelector, rest]) => ({ nodeSelector, ...rest }));

const apiVersion = fc.constant('cilium.io/v2' as const);

const namespaced: fc.Arbitrary<WrittenDocument> = fc.record({
  apiVersion,
  kind: fc.constant('CiliumNetworkPolicy' as const),
  metadata: fc.record({ name: fc.constant(''), namespace: fc.constantFrom(...namespaces) }),
  spec: rule,
});
const clusterwide: fc.Arbitrary<WrittenDocument> = fc.record({
  apiVersion,
  kind: fc.constant('CiliumClusterwideNetworkPolicy' as const),
  metadata: fc.record({ name: fc.constant('') }),
  specs: fc.array(fc.oneof(rule, nodeRule), { minLength: 1, maxLength: 2 }),
});
const ruleList: fc.Arbitrary<WrittenDocument> = fc.array(rule, { minLength: 1, maxLength: 2 });

/** Documents of all kinds, each with a name of its own. */
export const arbitraryDocuments: fc.Arbitrary<WrittenDocument[]> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: namespaced },
      { weight: 2, arbitrary: clusterwide },
      { weight: 2, arbitrary: ruleList },
      { weight: 2, arbitrary: arbitraryNetworkPolicy },
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((documents) =>
    documents.map((document, index): WrittenDocument => {
      if (!('kind' in document)) return document.map((item) => ({ ...item, labels: [`list=${index}`] }));
      const name = `p${index}`;
      return document.kind === 'NetworkPolicy'
        ? { ...document, metadata: { ...document.metadata, name } }
        : { ...document, metadata: { ...document.metadata, name } };
    }),
  );
