// SPDX-License-Identifier: Apache-2.0
// Kubernetes refuses objects by a schema that comes out of the tables that read policies. It must refuse nothing that the
// reader takes, and what it can say it should say, so that users hear of a mistake from kubectl.
import Ajv from 'ajv';
import fc from 'fast-check';
import { arbitraryDocuments, createReplay } from '@weir/policy-testing';
import { allFeatures } from '../feature.ts';
import { problemsOf } from '../testing/parse-text.ts';
import { policyCustomResource, policyObjectSchema } from './custom-resource.ts';

const replay = createReplay();
const accepts = new Ajv().compile(policyObjectSchema(allFeatures));
const acceptsWithoutFeatures = new Ajv().compile(policyObjectSchema(new Set()));

const object = (spec: unknown): Record<string, unknown> => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name: 'p' },
  spec,
});
const rule = (fields: Record<string, unknown>): unknown => object({ endpointSelector: {}, ...fields });
const onPort = (port: unknown): unknown => rule({ ingress: [{ toPorts: [{ ports: [port] }] }] });
const takes = (document: unknown): boolean => problemsOf(JSON.stringify(document)).length === 0;

const objects = arbitraryDocuments.map((documents) =>
  documents.filter((document) => 'kind' in document && document.kind !== 'NetworkPolicy'),
);

/** Every value of a document, by the way to it. */
function waysIn(value: unknown, way: readonly string[] = []): string[][] {
  const children = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return [[...way], ...children.flatMap(([key, child]) => waysIn(child, [...way, key]))];
}

function replaceAt(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value))
    return value.map((item, index) => (String(index) === key ? replaceAt(item, rest, by) : item));
  const fields = Object.entries(value as object).map(([name, child]) => [
    name,
    name === key ? replaceAt(child, rest, by) : child,
  ]);
  return Object.fromEntries(fields.filter(([, child]) => child !== undefined));
}

const junk = fc.constantFrom<unknown>(undefined, 0, 70_000, 'x', '', '80', true, [], [{}], {}, { x: 1 }, ['x'], ['']);

describe(`policyObjectSchema() (${replay.title})`, () => {
  it('takes every policy that the reader takes', () => {
    const property = fc.property(objects, (documents) => {
      for (const document of documents) {
        if (!accepts(document)) throw new Error(JSON.stringify(accepts.errors));
      }
    });
    fc.assert(property, replay.runs(200));
  });

  it('refuses nothing that the reader takes', () => {
    let [refused, refusedByBoth] = [0, 0];
    const property = fc.property(
      objects,
      fc.array(fc.tuple(fc.nat(), junk), { minLength: 8, maxLength: 8 }),
      (documents, changes) => {
        for (const document of documents) {
          const ways = waysIn(document).filter(
            ([top, second]) => top?.startsWith('spec') === true && second !== undefined,
          );
          for (const [choice, by] of ways.length === 0 ? [] : changes) {
            const changed = replaceAt(document, ways[choice % ways.length]!, by);
            const isTaken = takes(changed);
            if (!isTaken) refused++;
            if (accepts(changed)) continue;
            if (isTaken) throw new Error(`${JSON.stringify(changed)}: ${JSON.stringify(accepts.errors)}`);
            refusedByBoth++;
          }
        }
      },
    );
    fc.assert(property, replay.runs(60));
    // Most mistakes of this kind are of a sort that it can say.
    expect(refusedByBoth).toBeGreaterThan(refused / 2);
  });

  it.each<[string, unknown]>([
    ['no subject', object({ ingress: [{}] })],
    ['something else than a list', rule({ ingress: {} })],
    ['something else than a selector', object({ endpointSelector: [] })],
    ['a number for the value of a label', object({ endpointSelector: { matchLabels: { app: 1 } } })],
    ['an unknown operator', object({ endpointSelector: { matchExpressions: [{ key: 'a', operator: 'in' }] } })],
    ['an unknown entity', rule({ ingress: [{ fromEntities: ['nobody'] }] })],
    ['a number for a port', onPort({ port: 80 })],
    ['a port that is none', onPort({ port: 'http://x' })],
    ['no port', onPort({ protocol: 'TCP' })],
    ['an unknown protocol', onPort({ port: '80', protocol: 'GRE' })],
    ['a port range that ends too high', onPort({ port: '80', endPort: 70_000 })],
    ['no ports', rule({ ingress: [{ toPorts: [] }] })],
    [
      'too many ports',
      rule({ ingress: [{ toPorts: [{ ports: Array.from({ length: 41 }, () => ({ port: '80' })) }] }] }),
    ],
    ['a description that is too long', rule({ description: 'x'.repeat(4097) })],
    ['a service without a name', rule({ egress: [{ toServices: [{ k8sService: {} }] }] })],
    ['a service that is none', rule({ egress: [{ toServices: [{}] }] })],
    ['rules of a denial', rule({ ingressDeny: [{ toPorts: [{ ports: [{ port: '80' }], rules: {} }] }] })],
    ['what is not enforced', rule({ ingress: [{ authentication: { mode: 'required' } }] })],
    ['DNS names, which are not enforced', rule({ egress: [{ toFQDNs: [{ matchName: 'x' }] }] })],
  ])('refuses %s, as the reader does', (_what, document) => {
    expect([accepts(document), takes(document)]).toEqual([false, false]);
  });

  it('refuses fields of features that are not there', () => {
    const cidr = rule({ ingress: [{ fromCIDR: ['10.0.0.0/8'] }] });
    expect([accepts(cidr), acceptsWithoutFeatures(cidr)]).toEqual([true, false]);
  });

  it('says nothing that Kubernetes does not take in a schema', () => {
    const text = JSON.stringify(policyCustomResource('CiliumClusterwideNetworkPolicy', allFeatures));
    expect(text).not.toMatch(/"additionalProperties":(true|false)|"\$ref"|"oneOf"|"type":\[/);
    expect(Object.keys(policyObjectSchema(allFeatures)).toSorted()).toEqual(['properties', 'required', 'type']);
    expect(policyCustomResource('CiliumNetworkPolicy')).toMatchObject({
      metadata: { name: 'ciliumnetworkpolicies.cilium.io' },
      spec: { group: 'cilium.io', scope: 'Namespaced', versions: [{ name: 'v2', served: true, storage: true }] },
    });
  });
});
