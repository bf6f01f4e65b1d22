// SPDX-License-Identifier: Apache-2.0
// Answers to "why was this dropped?" are the verdict of the very tables that fill the maps, and the rules behind it.
import fc from 'fast-check';
import { parseCidr, parseLabelSet, protocolNumber } from '@weir/model';
import { arbitraryDocuments, arbitraryPod, arbitraryServices, createReplay } from '@weir/policy-testing';
import {
  ccnp,
  cnp,
  elsewhere,
  engineWith,
  front,
  fromFront,
  ofWeb,
  other,
  pod,
  port,
  web,
} from '../testing/engine-world.ts';
import { createOracleWorld, readDocuments } from '../testing/oracle-world.ts';
import { createPolicyEngine } from '../engine/policy-engine.ts';
import type { Explanation, ExplainQuestion, FlowEnd, SideExplanation } from './explain-types.ts';
import { traceReport } from './trace-report.ts';

const replay = createReplay();
const identity = (id: number): FlowEnd => ({ kind: 'identity', id });
const http = (...rules: object[]) => ({ toPorts: [{ ...port(80), rules: { http: rules } }] });
const missesOf = ({ nearest }: SideExplanation): string[][] =>
  nearest.map(({ misses }) => misses.map(({ kind, wanted, found }) => `${kind} ${wanted}: ${found}`));

describe('explain()', () => {
  const ask = (documents: Parameters<typeof engineWith>[0], question: Partial<ExplainQuestion>): Explanation =>
    engineWith(documents).explain({
      ...{ source: identity(front), destination: identity(web), protocol: protocolNumber.TCP, port: 80 },
      ...question,
    });

  it('names the item of the rule that allows a flow', () => {
    const { verdict, egress, ingress } = ask(
      [cnp('p', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [port(80)] }] })],
      {},
    );
    expect(verdict).toBe('allowed');
    expect(egress).toMatchObject({ verdict: 'not-enforced', decidedBy: [] });
    expect(ingress).toMatchObject({
      verdict: 'allow',
      decidedBy: [{ policy: 'CiliumNetworkPolicy/shop/p', rule: 0, path: 'specs[0].ingress[0].toPorts[0]', line: 1 }],
      defaultDenyBy: ['CiliumNetworkPolicy/shop/p'],
      nearest: [],
    });
  });

  it('names the item that denies one, and not what would allow it', () => {
    const { verdict, ingress } = ask(
      [cnp('p', { ...ofWeb, ingress: [fromFront] }), cnp('q', { ...ofWeb, ingressDeny: [{ toPorts: [port(80)] }] })],
      {},
    );
    expect(verdict).toBe('dropped');
    expect(ingress).toMatchObject({ verdict: 'deny', decidedBy: [{ policy: 'CiliumNetworkPolicy/shop/q' }] });
  });

  it('knows what policies for nodes say of a node by its labels, without an agent on it', () => {
    const policy = ccnp('nodes', {
      nodeSelector: { matchLabels: { pool: 'db' } },
      ingress: [{ fromEntities: ['remote-node'], toPorts: [port(80)] }],
    });
    const node = (pool: string): FlowEnd => ({
      kind: 'labels',
      labels: parseLabelSet(['reserved:host', `k8s:pool=${pool}`]),
    });
    const refused = ask([policy], { destination: node('db') });
    expect(refused).toMatchObject({ verdict: 'dropped', ingress: { verdict: 'no-match' } });
    expect(refused.ingress.defaultDenyBy).toEqual(['CiliumClusterwideNetworkPolicy//nodes']);
    expect(ask([policy], { source: identity(6), destination: node('db') }).verdict).toBe('allowed');
    expect(ask([policy], { destination: node('web') }).ingress.verdict).toBe('not-enforced');
  });

  it('says of the rules that come nearest what they want, the nearest first', () => {
    const { verdict, ingress } = ask(
      [
        cnp('p', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [port(443)] }] }),
        cnp('q', {
          ...ofWeb,
          ingress: [{ fromEndpoints: [{ matchLabels: { app: 'back' } }], toPorts: [port(53, 'UDP')] }],
        }),
        cnp('r', { endpointSelector: { matchLabels: { app: 'other' } }, ingress: [fromFront] }),
      ],
      {},
    );
    expect(verdict).toBe('dropped');
    expect(ingress.verdict).toBe('no-match');
    expect(missesOf(ingress)).toEqual([
      ['port TCP/443: TCP/80'],
      ['subject any:app=other: k8s:app=web'],
      ['peer any:app=back: k8s:app=front', 'protocol UDP/53: TCP/80'],
    ]);
  });

  it('says that a peer is in another namespace, or that another rule forbids it', () => {
    expect(
      missesOf(ask([cnp('p', { ...ofWeb, ingress: [fromFront] })], { source: identity(elsewhere) }).ingress),
    ).toEqual([['peer k8s:io.kubernetes.pod.namespace=shop: k8s:io.kubernetes.pod.namespace=away']]);
    const requires = { fromRequires: [{ matchLabels: { team: 'a' } }] };
    expect(missesOf(ask([cnp('p', { ...ofWeb, ingress: [fromFront, requires] })], {}).ingress)).toEqual([
      ['required any:team=a: no team'],
    ]);
  });

  it('says whether a request passes, and which condition it does not meet', () => {
    const documents = [
      cnp('p', {
        ...ofWeb,
        ingress: [{ ...fromFront, ...http({ method: 'GET', path: '/a' }, { path: '/b', headers: ['X-Key: 1'] }) }],
      }),
    ];
    expect(ask(documents, {}).verdict).toBe('depends');
    expect(ask(documents, { request: { method: 'GET', path: '/a' } })).toMatchObject({
      verdict: 'allowed',
      ingress: { verdict: 'redirect', request: 'passes' },
    });
    const refused = ask(documents, { request: { method: 'PUT', path: '/a' } });
    expect(refused).toMatchObject({ verdict: 'refused', ingress: { request: 'refused' } });
    expect(missesOf(refused.ingress)).toEqual([['request method GET: PUT']]);
    const headers = ask(documents, {
      request: { method: 'GET', path: '/b', headers: [{ name: 'x-key', value: '2' }] },
    });
    expect(missesOf(headers.ingress)).toEqual([['request path /a: /b']]);
    const twice = { method: 'GET', path: '/b', headers: ['1', '2'].map((value) => ({ name: 'X-Key', value })) };
    expect(ask(documents, { request: twice }).ingress.request).toBe('refused');
  });

  it('judges both ends, and one that is not managed lets everything through', () => {
    const deny = cnp('p', { endpointSelector: { matchLabels: { app: 'front' } }, egress: [{}] });
    const { verdict, egress, ingress } = ask([deny], {});
    expect([verdict, egress.verdict, ingress.verdict]).toEqual(['dropped', 'no-match', 'not-enforced']);
    expect(ask([deny], { source: { kind: 'labels', labels: createPodOutside() } }).egress.verdict).toBe('not-managed');
  });

  it('judges addresses by the longest prefix that rules name, and says which narrower ones there are', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ fromCIDR: ['10.0.0.0/8'] }] })]);
    const from = (text: string) =>
      engine.explain({
        ...{ source: { kind: 'prefix', prefix: parseCidr(text) }, destination: identity(web), protocol: 6, port: 80 },
      });
    expect(from('10.1.2.3/32').verdict).toBe('allowed');
    expect(from('192.0.2.0/24').verdict).toBe('dropped');
    expect(missesOf(from('192.0.2.0/24').ingress)).toEqual([['peer cidr:10.0.0.0/8: 192.0.2.0/24']]);
    expect(
      missesOf(engine.explain({ source: identity(front), destination: identity(web), protocol: 6, port: 80 }).ingress),
    ).toEqual([['peer cidr:10.0.0.0/8: a peer inside the cluster, which addresses do not match']]);
  });

  it('answers for labels that nobody has, and leaves nothing behind', () => {
    const engine = engineWith([cnp('p', { endpointSelector: { matchLabels: { app: 'new' } }, ingress: [fromFront] })]);
    const before = JSON.stringify([engine.selectors(), engine.resolve(web), engine.revision]);
    const labels = pod('new');
    const { verdict, destination } = engine.explain({
      ...{ source: identity(other), destination: { kind: 'labels', labels }, protocol: 6, port: 80 },
    });
    expect([verdict, destination.identity]).toEqual(['dropped', undefined]);
    expect(JSON.stringify([engine.selectors(), engine.resolve(web), engine.revision])).toBe(before);
    expect(() => engine.explain({ source: identity(9999), destination: identity(web), protocol: 6, port: 80 })).toThrow(
      'Nobody is known by the identity 9999',
    );
  });
});

function createPodOutside() {
  return { labels: [{ source: 'reserved', key: 'world', value: '' }], key: 'reserved:world=;' } as const;
}

describe(`explain() over random policies (${replay.title})`, () => {
  it('gives the verdict that the datapath gives, with rules behind every one that rules decided', () => {
    let explained = 0;
    const property = fc.property(
      arbitraryDocuments,
      fc.array(arbitraryPod, { minLength: 2, maxLength: 4 }),
      arbitraryServices,
      (documents, pods, services) => {
        const policies = readDocuments(documents);
        const { update, subjects, peers } = createOracleWorld(pods, { policies, services });
        const engine = createPolicyEngine({ defaultAllow: true });
        engine.apply(update);
        const [{ subject } = subjects[0]!] = subjects;
        const before = JSON.stringify(engine.resolve(subject.id));
        for (const { id } of peers) {
          for (const number of [80, 443]) {
            const { ingress } = engine.explain({
              ...{ source: identity(id), destination: { kind: 'subject', id: subject.id }, protocol: 6, port: number },
            });
            const flow = {
              subject: subject.id,
              direction: 'ingress' as const,
              peerIdentity: id,
              protocol: 6,
              port: number,
            };
            const decided = engine.decide(flow);
            explained++;
            if (ingress.verdict !== decided.verdict) throw new Error(`${ingress.verdict}: ${JSON.stringify(flow)}`);
            if (ingress.verdict === 'no-match' && ingress.decidedBy.length + ingress.entries.length > 0)
              throw new Error('entries');
            if (ingress.nearest.some(({ misses }) => misses.length === 0))
              throw new Error(`nothing is missing: ${JSON.stringify(flow)}`);
          }
        }
        if (JSON.stringify(engine.resolve(subject.id)) !== before) throw new Error('the engine has changed');
      },
    );
    fc.assert(property, replay.runs(60));
    expect(explained).toBeGreaterThan(1_000);
  });
});

describe('traceReport()', () => {
  it('says the file of each item, and ports in words', () => {
    const engine = engineWith([
      cnp('p', {
        ...ofWeb,
        ingress: [{ ...fromFront, toPorts: [{ ports: [{ port: '8000', endPort: 8191, protocol: 'TCP' }] }] }],
      }),
    ]);
    const explained = engine.explain({ source: identity(front), destination: identity(web), protocol: 6, port: 8080 });
    expect(traceReport(explained, engine.policies())).toMatchObject({
      verdict: 'allowed',
      source: { identity: front, labels: expect.arrayContaining(['k8s:app=front']) },
      ingress: {
        verdict: 'allow',
        decidedBy: [{ file: '0.json', policy: 'CiliumNetworkPolicy/shop/p' }],
        entries: [
          {
            ports: expect.stringMatching(/^TCP\/8064-|^TCP\/8000-|^TCP\/\d+-\d+$/),
            peerIdentity: front,
            verdict: 'allow',
          },
        ],
      },
    });
  });
});

describe('selectors()', () => {
  it('are those that rules in force name, with whom they select and whose policy looks at them', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [fromFront] }),
      cnp('q', { ...ofWeb, egress: [{ toEndpoints: [{ matchLabels: { app: 'front' } }] }] }),
      cnp('r', { endpointSelector: { matchLabels: { app: 'nobody' } }, ingress: [{ fromEntities: ['world'] }] }),
    ]);
    expect(engine.selectors()).toEqual([
      {
        selector: 'any:app=front && k8s:io.kubernetes.pod.namespace=shop',
        policies: ['CiliumNetworkPolicy/shop/p', 'CiliumNetworkPolicy/shop/q'],
        subjects: [web],
        identities: [front],
      },
    ]);
    engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/p', 'CiliumNetworkPolicy/shop/q'] });
    expect(engine.selectors()).toEqual([]);
  });
});
