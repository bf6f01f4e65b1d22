// SPDX-License-Identifier: Apache-2.0
// What policies mean, a situation at a time. The property test covers the combinations.
import { parseLabelSet, podLabels, protocolNumber, reservedIdentity } from '@weir/model';
import type { WrittenRule } from '@weir/policy-testing';
import {
  ask,
  ccnp,
  cnp,
  elsewhere,
  engineWith,
  front,
  fromFront,
  identities,
  ofWeb,
  other,
  pod,
  policies,
  port,
  verdict,
  web,
} from '../testing/engine-world.ts';
import type { PolicyEngine } from './engine-types.ts';

const { TCP, UDP, ICMP } = protocolNumber;
const { host, world, health, init } = reservedIdentity;

describe('default deny', () => {
  it('is off, in both directions, while no policy selects the endpoint', () => {
    const engine = engineWith([cnp('p', { endpointSelector: { matchLabels: { app: 'other' } }, ingress: [{}] })]);
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: false, egressEnforced: false, entries: [] });
    expect(verdict(engine, { peer: world })).toBe('not-enforced');
    expect(engine.policiesInDefaultDeny(web, 'ingress')).toEqual([]);
  });

  it('is on in the direction whose section the policy has, and in no other', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [fromFront] })]);
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: true, egressEnforced: false });
    expect(verdict(engine, { peer: front })).toBe('allow');
    expect(verdict(engine, { peer: other })).toBe('no-match');
    expect(verdict(engine, { peer: other, direction: 'egress' })).toBe('not-enforced');
    expect(engine.policiesInDefaultDeny(web, 'ingress')).toEqual(['CiliumNetworkPolicy/shop/p']);
    expect(engine.policiesInDefaultDeny(web, 'egress')).toEqual([]);
  });

  it('lets nobody in with one empty item, and is not touched by an empty section', () => {
    expect(engineWith([cnp('p', { ...ofWeb, ingress: [{}] })]).resolve(web)).toMatchObject({
      ingressEnforced: true,
      entries: [],
    });
    expect(engineWith([cnp('p', { ...ofWeb, ingress: [] })]).resolve(web)).toMatchObject({ ingressEnforced: false });
  });

  it('comes with denials alone, too', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingressDeny: [fromFront] })]);
    expect(verdict(engine, { peer: other })).toBe('no-match');
  });

  it('can be turned off, and then only denials count', () => {
    const rule = {
      ...ofWeb,
      ingressDeny: [{ ...fromFront, toPorts: [port(80)] }],
      enableDefaultDeny: { ingress: false },
    };
    const engine = engineWith([cnp('p', rule)]);
    expect(verdict(engine, { peer: front })).toBe('deny');
    expect(verdict(engine, { peer: front, port: 81 })).toBe('allow');
    expect(verdict(engine, { peer: other })).toBe('allow');
    expect(engine.policiesInDefaultDeny(web, 'ingress')).toEqual([]);
    expect(engine.policiesSelecting(web)).toEqual(['CiliumNetworkPolicy/shop/p']);
  });

  it('can be turned on without any item', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, enableDefaultDeny: { egress: true } })]);
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: false, egressEnforced: true, entries: [] });
  });
});

describe('items', () => {
  const item = (...items: NonNullable<WrittenRule['ingress']>) => engineWith([cnp('p', { ...ofWeb, ingress: items })]);

  it('with a peer and no port are about every port and protocol of the peer', () => {
    const engine = item(fromFront);
    expect(verdict(engine, { peer: front, port: 1 })).toBe('allow');
    expect(verdict(engine, { peer: front, protocol: ICMP, port: 8 })).toBe('allow');
  });

  it('with a port and no peer are about every peer, also an unknown one', () => {
    const engine = item({ toPorts: [port(80)] });
    for (const peer of [front, elsewhere, world, host, 9999]) expect(verdict(engine, { peer })).toBe('allow');
    expect(verdict(engine, { peer: front, port: 81 })).toBe('no-match');
    expect(verdict(engine, { peer: front, protocol: UDP })).toBe('no-match');
    expect(engine.resolve(web)?.entries).toHaveLength(1);
  });

  it('with both are about the port of the peer', () => {
    const engine = item({ ...fromFront, toPorts: [port(80)] });
    expect(verdict(engine, { peer: front })).toBe('allow');
    expect(verdict(engine, { peer: front, port: 81 })).toBe('no-match');
    expect(verdict(engine, { peer: front, protocol: ICMP, port: 8 })).toBe('no-match');
    expect(verdict(engine, { peer: other })).toBe('no-match');
  });

  it('with a list of peers that is empty are about nobody', () => {
    expect(item({ fromEndpoints: [] }).resolve(web)).toMatchObject({ ingressEnforced: true, entries: [] });
    expect(item({ fromEntities: [], toPorts: [port(80)] }).resolve(web)?.entries).toEqual([]);
  });

  it('add up, within a policy and across policies', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [fromFront] }),
      cnp('q', { ...ofWeb, ingress: [{ fromEndpoints: [{ matchLabels: { app: 'other' } }], toPorts: [port(81)] }] }),
    ]);
    expect(verdict(engine, { peer: front })).toBe('allow');
    expect(verdict(engine, { peer: other, port: 81 })).toBe('allow');
    expect(verdict(engine, { peer: other, port: 80 })).toBe('no-match');
    expect(engine.policiesInDefaultDeny(web, 'ingress')).toEqual([
      'CiliumNetworkPolicy/shop/p',
      'CiliumNetworkPolicy/shop/q',
    ]);
  });

  it('with any protocol make one entry for each protocol that has ports', () => {
    const entries = item({ toPorts: [port(53, 'ANY')] }).resolve(web)!.entries;
    expect(entries.map(({ protocol }) => protocol)).toEqual([6, 17, 132]);
  });

  it('with port 0 are about every port of the protocol', () => {
    const engine = item({ ...fromFront, toPorts: [port(0)] });
    expect(engine.resolve(web)?.entries).toMatchObject([{ peerIdentity: front, protocol: TCP, port: 0 }]);
    expect(verdict(engine, { peer: front, port: 12345 })).toBe('allow');
    expect(verdict(engine, { peer: front, protocol: UDP })).toBe('no-match');
  });
});

describe('scope', () => {
  const everybody = { endpointSelector: {}, ingress: [{ fromEndpoints: [{}] }] };

  it('of a namespaced policy is its namespace, for subjects and for peers', () => {
    const engine = engineWith([cnp('p', everybody)]);
    expect(engine.subjectsOf('CiliumNetworkPolicy/shop/p')).toEqual([web, front, other]);
    expect(verdict(engine, { peer: front })).toBe('allow');
    expect(verdict(engine, { peer: elsewhere })).toBe('no-match');
    expect(verdict(engine, { peer: world })).toBe('no-match');
  });

  it.each([
    ['its pods', { 'k8s:io.kubernetes.pod.namespace': 'away' }],
    ['its pods, without a source', { 'io.kubernetes.pod.namespace': 'away' }],
  ])('is left by a peer that names another namespace by %s', (_how, matchLabels) => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ fromEndpoints: [{ matchLabels }] }] })]);
    expect(verdict(engine, { peer: elsewhere })).toBe('allow');
    expect(verdict(engine, { peer: front })).toBe('no-match');
  });

  it('is not left by a peer that names a label of a container which is only called like that', () => {
    const matchLabels = { 'container:io.kubernetes.pod.namespace': 'away' };
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ fromEndpoints: [{ matchLabels }] }] })]);
    const container = parseLabelSet(['container:io.kubernetes.pod.namespace=away']);
    engine.apply({ upsertIdentities: [{ id: 310, labels: container }] });
    expect(verdict(engine, { peer: 310 })).toBe('no-match');
  });

  it('is left by a peer that names labels of namespaces', () => {
    const labels = podLabels({ namespace: 'away', labels: {}, namespaceLabels: { team: 'red' } }).labels;
    const matchLabels = { 'io.cilium.k8s.namespace.labels.team': 'red' };
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ fromEndpoints: [{ matchLabels }] }] })]);
    engine.apply({ upsertIdentities: [{ id: 310, labels }] });
    expect(verdict(engine, { peer: 310 })).toBe('allow');
  });

  it('of a subject is not left, whatever the selector says', () => {
    const selectors = [
      { matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'away' } },
      { matchExpressions: [{ key: 'reserved:init', operator: 'DoesNotExist' as const }] },
      { matchExpressions: [{ key: 'io.kubernetes.pod.namespace', operator: 'Exists' as const }] },
    ];
    for (const endpointSelector of selectors) {
      const engine = engineWith([cnp('p', { endpointSelector, ingress: [{}] })]);
      expect(engine.subjectsOf('CiliumNetworkPolicy/shop/p')).toEqual([web, front, other]);
    }
  });

  it('of a cluster-wide policy is all pods, but not the world', () => {
    const engine = engineWith([ccnp('p', everybody)]);
    expect(engine.subjectsOf('CiliumClusterwideNetworkPolicy//p')).toEqual([web, front, other, elsewhere]);
    expect(verdict(engine, { peer: elsewhere })).toBe('allow');
    expect(verdict(engine, { peer: world })).toBe('no-match');
  });

  it('of a rule list is everything', () => {
    const engine = engineWith([[{ ...everybody, labels: ['p'] }]]);
    expect(engine.subjectsOf('RuleList//unspec:p')).toEqual([web, front, other, elsewhere]);
    expect(verdict(engine, { peer: world })).toBe('allow');
    expect(engine.resolve(web)?.entries).toHaveLength(1);
  });
});

describe('entities', () => {
  const from = (entity: string) => engineWith([cnp('p', { ...ofWeb, ingress: [{ fromEntities: [entity] }] })]);
  const stranger = 320;

  it.each([
    ['host', [host]],
    ['world', [world]],
    ['health', [health]],
    ['init', [init]],
    ['unmanaged', [reservedIdentity.unmanaged]],
    ['remote-node', [reservedIdentity['remote-node'], reservedIdentity['kube-apiserver']]],
    ['cluster', [host, health, init, web, front, elsewhere]],
    ['none', []],
    ['all', [host, world, health, init, web, stranger, 9999]],
  ])('%s are the peers %j', (entity, expected) => {
    const engine = from(entity);
    engine.apply({
      upsertIdentities: [{ id: stranger, labels: parseLabelSet(['k8s:io.cilium.k8s.policy.cluster=far']) }],
    });
    const all = [host, world, health, init, 3, 6, 7, web, front, elsewhere, stranger, 9999];
    const allowed = all.filter((peer) => verdict(engine, { peer }) === 'allow');
    expect(allowed).toEqual(expect.arrayContaining(expected));
    if (!['all', 'cluster'].includes(entity)) expect(allowed.sort()).toEqual([...expected].sort());
    if (entity === 'cluster') expect(allowed).not.toContain(stranger);
  });

  it('all is one entry, whatever the number of identities', () => {
    expect(from('all').resolve(web)?.entries).toMatchObject([{ peerIdentity: 0, protocol: 0, port: 0 }]);
  });
});

describe('denials', () => {
  const allowAll = {
    ...ofWeb,
    ingress: [
      { ...fromFront, toPorts: [{ ...port(80), rules: { http: [{ path: '/' }] } }] },
      { ...fromFront, toPorts: [port(81)] },
    ],
  };

  it('of a port beat every allowance of it, and leave the others', () => {
    const engine = engineWith([cnp('p', allowAll), cnp('q', { ...ofWeb, ingressDeny: [{ toPorts: [port(80)] }] })]);
    expect(verdict(engine, { peer: front })).toBe('deny');
    expect(verdict(engine, { peer: front, port: 81 })).toBe('allow');
    expect(ask(engine, { peer: front }).origins).toMatchObject([
      {
        policy: 'CiliumNetworkPolicy/shop/q',
        rule: 0,
        direction: 'ingress',
        path: 'specs[0].ingressDeny[0].toPorts[0]',
      },
    ]);
  });

  it('of a peer beat every allowance, of whatever kind of policy', () => {
    const deny = { endpointSelector: {}, ingressDeny: [fromFront] };
    const engine = engineWith([cnp('p', allowAll), [{ ...deny, labels: ['deny'] }]]);
    for (const number of [80, 81, 82]) expect(verdict(engine, { peer: front, port: number })).toBe('deny');
  });
});

describe('HTTP rules', () => {
  const http = (...rules: { method?: string; path?: string }[]) => ({ ...port(80), rules: { http: rules } });
  const ruleSet = (engine: PolicyEngine, peer: number) => ask(engine, { peer }).ruleSet?.http;

  it('redirect, with the rules in canonical form', () => {
    const engine = engineWith([
      cnp('p', {
        ...ofWeb,
        ingress: [{ ...fromFront, toPorts: [http({ path: '/b' }, { path: '/a', method: '' }, { path: '/b' })] }],
      }),
    ]);
    expect(ask(engine, { peer: front })).toMatchObject({
      verdict: 'redirect',
      ruleSet: { http: [{ path: '/a' }, { path: '/b' }] },
    });
  });

  it('of several policies are one rule set, also where one of them is for any peer', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [http({ path: '/a' })] }] }),
      cnp('q', { ...ofWeb, ingress: [{ toPorts: [http({ path: '/any' })] }] }),
    ]);
    expect(ruleSet(engine, front)).toEqual([{ path: '/a' }, { path: '/any' }]);
    expect(ruleSet(engine, other)).toEqual([{ path: '/any' }]);
  });

  it.each([
    ['for the same port', { ...fromFront, toPorts: [port(80)] }],
    ['for the peer', fromFront],
    ['for the port and any peer', { toPorts: [port(80)] }],
    ['for every port of the protocol', { ...fromFront, toPorts: [port(0)] }],
  ])('have no effect beside an allowance %s', (_what, allowance) => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [http({ path: '/a' })] }] }),
      cnp('q', { ...ofWeb, ingress: [allowance] }),
    ]);
    expect(verdict(engine, { peer: front })).toBe('allow');
  });

  it('stay for a peer when only another one is allowed everything', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [http({ path: '/a' })] }] }),
      cnp('q', { ...ofWeb, ingress: [{ fromEndpoints: [{ matchLabels: { app: 'other' } }] }] }),
    ]);
    expect(verdict(engine, { peer: front })).toBe('redirect');
    expect(verdict(engine, { peer: other })).toBe('allow');
  });

  it('that are empty let every request through: one of them by the proxy, none of them without it', () => {
    const through = (rules: { path?: string }[]) =>
      ask(engineWith([cnp('p', { ...ofWeb, ingress: [{ toPorts: [http(...rules)] }] })]), { peer: front });
    expect(through([{}, { path: '/a' }])).toMatchObject({ verdict: 'redirect', ruleSet: { http: [] } });
    expect(through([])).toMatchObject({ verdict: 'allow' });
  });

  it('have equal keys exactly when they are equal', () => {
    const keyOf = (...rules: { path?: string; method?: string }[]) =>
      ask(engineWith([cnp('p', { ...ofWeb, ingress: [{ toPorts: [http(...rules)] }] })]), { peer: front }).ruleSet?.key;
    expect(keyOf({ path: '/a', method: 'GET' }, { path: '/b' })).toBe(
      keyOf({ path: '/b' }, { method: 'GET', path: '/a' }),
    );
    expect(keyOf({ path: '/a' })).not.toBe(keyOf({ method: '/a' }));
  });
});

describe('enforcement modes', () => {
  it('always: what no rule allows is dropped, also where no policy selects', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [fromFront] })], { mode: 'always' });
    expect(verdict(engine, { subject: other, peer: front })).toBe('no-match');
    expect(verdict(engine, { peer: front })).toBe('allow');
    expect(verdict(engine, { peer: front, direction: 'egress' })).toBe('no-match');
  });

  it('never: nothing is enforced, denials neither', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingressDeny: [fromFront] })], { mode: 'never' });
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: false, entries: [] });
    expect(verdict(engine, { peer: front })).toBe('not-enforced');
  });
});

describe('the local host', () => {
  it('may be let in always, where ingress is enforced, and is still denied where a rule says so', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{}], egress: [{}] })], { allowLocalHost: true });
    expect(engine.resolve(web)?.entries).toEqual([
      {
        ...{ direction: 'ingress', peerIdentity: host, protocol: 0, port: 0, portPrefixLength: 0 },
        ...{ verdict: 'allow', origins: [] },
      },
    ]);
    expect(engine.resolve(other)?.entries).toEqual([]);
    engine.apply({
      upsertPolicies: policies(cnp('q', { ...ofWeb, ingressDeny: [{ fromEntities: ['host'], toPorts: [port(22)] }] })),
    });
    expect(verdict(engine, { peer: host, port: 22 })).toBe('deny');
    expect(verdict(engine, { peer: host, port: 80 })).toBe('allow');
  });
});

describe('updates', () => {
  const rule = { ...ofWeb, ingress: [{ ...fromFront, toPorts: [port(80)] }] };

  it('that bring an identity touch the subjects that it concerns, with its entries alone', () => {
    const engine = engineWith([cnp('p', rule)]);
    const labels = pod('front', 'shop', { version: '2' });
    expect(engine.apply({ upsertIdentities: [{ id: 330, labels }] }).subjects).toMatchObject([
      { subject: web, kind: 'changed', rulesChanged: false, upserted: [{ peerIdentity: 330, port: 80 }], deleted: [] },
    ]);
    expect(engine.apply({ upsertIdentities: [{ id: 331, labels: pod('unrelated') }] }).subjects).toEqual([]);
    expect(engine.apply({ upsertIdentities: [{ id: 330, labels }] }).subjects).toEqual([]);
    expect(engine.apply({ deleteIdentities: [330] }).subjects).toMatchObject([
      { upserted: [], deleted: [{ direction: 'ingress', peerIdentity: 330, protocol: TCP, port: 80 }] },
    ]);
  });

  it('that change a policy count as a revision, and say so for the subjects that it concerns', () => {
    const engine = engineWith([cnp('p', rule)]);
    const before = engine.revision;
    expect(engine.apply({ upsertPolicies: policies(cnp('p', rule)) })).toEqual({ revision: before, subjects: [] });
    const changed = { ...rule, ingress: [{ ...fromFront, toPorts: [port(81)] }] };
    const { revision, subjects } = engine.apply({ upsertPolicies: policies(cnp('p', changed)) });
    expect(revision).toBe(before + 1);
    expect(subjects).toMatchObject([
      { subject: web, rulesChanged: true, upserted: [{ port: 81 }], deleted: [{ port: 80 }] },
    ]);
    const gone = engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/p', 'no/such/policy'] });
    expect(gone.subjects).toMatchObject([{ subject: web, ingressEnforced: false, deleted: [{ port: 81 }] }]);
    expect(engine.policies()).toEqual([]);
  });

  it('that add the same thing again under another name change who is behind an entry, which is reported', () => {
    const engine = engineWith([cnp('p', rule)]);
    const [change] = engine.apply({ upsertPolicies: policies(cnp('q', rule)) }).subjects;
    expect(change?.upserted).toHaveLength(1);
    expect(change?.upserted[0]?.origins.map(({ policy }) => policy)).toEqual([
      'CiliumNetworkPolicy/shop/p',
      'CiliumNetworkPolicy/shop/q',
    ]);
  });

  it('that turn on default deny without an entry are reported, too', () => {
    const engine = engineWith([]);
    const { subjects } = engine.apply({ upsertPolicies: policies(cnp('p', { ...ofWeb, ingress: [{}] })) });
    expect(subjects).toMatchObject([{ subject: web, ingressEnforced: true, upserted: [], deleted: [] }]);
  });

  it('that turn on default deny report the allowances that had no effect until then', () => {
    const idle = { ...rule, enableDefaultDeny: { ingress: false } };
    const engine = engineWith([cnp('p', idle)]);
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: false, entries: [] });
    const on = engine.apply({ upsertPolicies: policies(cnp('q', { ...ofWeb, ingress: [{}] })) });
    expect(on.subjects).toMatchObject([{ ingressEnforced: true, upserted: [{ peerIdentity: front }] }]);
    const off = engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/q'] });
    expect(off.subjects).toMatchObject([{ ingressEnforced: false, deleted: [{ peerIdentity: front }] }]);
  });

  it('that name a policy twice leave the last one', () => {
    const engine = engineWith([]);
    engine.apply({ upsertPolicies: [...policies(cnp('p', rule)), ...policies(cnp('p', { ...ofWeb, egress: [{}] }))] });
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: false, egressEnforced: true, entries: [] });
    engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/p'] });
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: false, egressEnforced: false });
  });

  it('that bring and take subjects report whole policies', () => {
    const engine = engineWith([cnp('p', rule)]);
    expect(engine.apply({ deleteSubjects: [web, 9999] }).subjects).toMatchObject([{ subject: web, kind: 'removed' }]);
    expect(engine.resolve(web)).toBeUndefined();
    expect(() => engine.policiesSelecting(web)).toThrow('Identity 300 is not that of a local endpoint');
    expect(engine.apply({ upsertSubjects: [identities[0]!] }).subjects).toMatchObject([
      { subject: web, kind: 'added', ingressEnforced: true, upserted: [{ peerIdentity: front }] },
    ]);
  });

  it('with impossible identities are refused as a whole', () => {
    const engine = engineWith([]);
    const upsertPolicies = policies(cnp('p', rule));
    for (const id of [0, -1, 2 ** 24, 1.5]) {
      expect(() => engine.apply({ upsertPolicies, upsertIdentities: [{ id, labels: pod('x') }] })).toThrow(
        `${id} is not an identity that a peer can have`,
      );
    }
    expect(() => engine.apply({ upsertPolicies, deleteIdentities: [host] })).toThrow('Identity 1 is reserved');
    expect(engine.policies()).toEqual([]);
  });

  it('report denials before allowances, and take allowances away before denials', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [fromFront], ingressDeny: [{ ...fromFront, toPorts: [port(22)] }] }),
    ]);
    const labels = pod('front', 'shop', { version: '2' });
    const [come] = engine.apply({ upsertIdentities: [{ id: 330, labels }] }).subjects;
    expect(come?.upserted.map((entry) => entry.verdict)).toEqual(['deny', 'allow']);
    const [go] = engine.apply({ deleteIdentities: [330] }).subjects;
    expect(go?.deleted.map((key) => key.port)).toEqual([0, 22]);
  });
});
