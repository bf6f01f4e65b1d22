// SPDX-License-Identifier: Apache-2.0
// What the parts of the language do to flows that look at more than labels of pods and single ports.
import {
  cidrIdentityLabels,
  icmpPort,
  type NamedPort,
  parseCidr,
  parseLabelSet,
  protocolNumber,
  reservedIdentity,
} from '@weir/model';
import type { WrittenItem } from '@weir/policy-testing';
import {
  ask,
  ccnp,
  cnp,
  elsewhere,
  engineWith,
  front,
  fromFront,
  identities,
  networkPolicy,
  ofWeb,
  other,
  pod,
  policies,
  port,
  prefixIdentity,
  verdict,
  web,
} from '../testing/engine-world.ts';
import type { PolicyEngine } from './engine-types.ts';

const { TCP, UDP, ICMP, ICMPv6 } = protocolNumber;
const { host, world } = reservedIdentity;
const egress = 'egress' as const;

describe('peers', () => {
  it('by address are outside the cluster, and an exception is not among them', () => {
    const [ten, except, inside, wider, six] = ['10.0.0.0/8', '10.1.0.0/16', '10.2.3.0/24', '0.0.0.0/0', '::/0'].map(
      (prefix, index) => prefixIdentity(index, prefix),
    );
    const all = [ten!, except!, inside!, wider!, six!];
    const engine = engineWith([
      cnp('p', { ...ofWeb, egress: [{ toCIDRSet: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }] }] }),
      cnp('q', { ...ofWeb, ingress: [{ fromCIDR: ['0.0.0.0/0'] }] }),
      cnp('r', { ...ofWeb, ingressDeny: [{ fromCIDR: ['10.2.3.4/30'] }] }),
    ]);
    engine.apply({ upsertIdentities: all });
    const reached = (direction: 'ingress' | 'egress') =>
      [...all.map(({ id }) => id), web, front, host, world].filter(
        (peer) => verdict(engine, { peer, direction }) === 'allow',
      );
    expect(reached('egress')).toEqual([ten!.id, inside!.id]);
    expect(reached('ingress')).toEqual([ten!.id, except!.id, inside!.id, wider!.id]);
    const denied = prefixIdentity(9, '10.2.3.4/32');
    engine.apply({ upsertIdentities: [denied] });
    expect(verdict(engine, { peer: denied.id })).toBe('deny');
    engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/r'] });
    expect(verdict(engine, { peer: denied.id })).toBe('allow');
  });

  it('of the world are those with prefixes, too', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ fromEntities: ['world'] }] })]);
    const prefix = prefixIdentity(0, '10.0.0.0/8');
    engine.apply({ upsertIdentities: [prefix] });
    expect(verdict(engine, { peer: prefix.id })).toBe('allow');
  });

  it('by labels of nodes are nodes that have them', () => {
    const engine = engineWith([
      cnp('p', {
        ...ofWeb,
        ingress: [{ fromNodes: [{ matchLabels: { role: 'db' } }] }],
        egress: [{ toEntities: ['remote-node'] }],
      }),
    ]);
    const [db, plain] = [2 ** 25, 2 ** 25 + 1];
    engine.apply({
      upsertIdentities: [
        { id: db, labels: parseLabelSet(['reserved:remote-node', 'node:role=db']) },
        { id: plain, labels: parseLabelSet(['reserved:remote-node']) },
        { id: 310, labels: pod('x', 'shop', { role: 'db' }) },
      ],
    });
    expect([db, plain, 310].filter((peer) => verdict(engine, { peer }) === 'allow')).toEqual([db]);
    expect(verdict(engine, { peer: db, direction: egress })).toBe('allow');
  });

  it('by service are what is behind it, whenever that changes', () => {
    const toServices = (service: NonNullable<WrittenItem['toServices']>[number]) =>
      engineWith([cnp('p', { ...ofWeb, egress: [{ toServices: [service] }] })]);
    const reached = (engine: PolicyEngine) =>
      [front, other, elsewhere, 2 ** 24 + 1].filter((peer) => verdict(engine, { peer, direction: egress }) === 'allow');
    const db = { namespace: 'shop', name: 'db', labels: { env: 'prod' } };

    const byName = toServices({ k8sService: { serviceName: 'db', namespace: 'shop' } });
    expect(reached(byName)).toEqual([]);
    const [change] = byName.apply({ upsertServices: [{ ...db, selector: { app: 'front' } }] }).subjects;
    expect(change).toMatchObject({ subject: web, rulesChanged: true, upserted: [{ peerIdentity: front }] });
    expect(reached(byName)).toEqual([front]);
    byName.apply({ upsertServices: [{ ...db, selector: { app: 'other' } }] });
    expect(reached(byName)).toEqual([other]);
    byName.apply({ upsertIdentities: [prefixIdentity(0, '192.0.2.1/32')] });
    byName.apply({ upsertServices: [{ ...db, addresses: [parseCidr('192.0.2.0/24')] }] });
    expect(reached(byName)).toEqual([2 ** 24 + 1]);
    expect(byName.apply({ deleteServices: [db, { namespace: 'no', name: 'such' }] }).subjects).toHaveLength(1);
    expect(reached(byName)).toEqual([]);

    const byLabels = toServices({ k8sServiceSelector: { selector: { matchLabels: { env: 'prod' } } } });
    byLabels.apply({ upsertServices: [{ ...db, namespace: 'away', selector: { app: 'front' } }] });
    expect(reached(byLabels)).toEqual([elsewhere]);
    byLabels.apply({ upsertServices: [{ ...db, namespace: 'away', labels: {}, selector: { app: 'front' } }] });
    expect(reached(byLabels)).toEqual([]);
    expect(() => byLabels.apply({ upsertServices: [{ ...db, labels: { 'a b': '' } }] })).toThrow('is not a label key');
  });
});

describe('requirements', () => {
  const requires = { ...ofWeb, ingress: [{ fromRequires: [{ matchLabels: { team: 'a' } }] }] };
  const [member, stranger] = [320, 321];
  const members = [
    { id: member, labels: pod('front', 'shop', { team: 'a' }) },
    { id: stranger, labels: pod('front', 'shop', { team: 'b' }) },
  ];

  it.each<[string, WrittenItem]>([
    ['endpoints', fromFront],
    ['endpoints and ports', { ...fromFront, toPorts: [port(80)] }],
    ['entities', { fromEntities: ['cluster'] }],
    ['everybody', { fromEntities: ['all'] }],
    ['ports', { toPorts: [port(80)] }],
  ])('hold back what every other rule allows, of whatever kind: %s', (_what, item) => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [item] })]);
    engine.apply({ upsertIdentities: members });
    const allowed = () => [member, stranger].filter((peer) => verdict(engine, { peer }) === 'allow');
    expect(allowed()).toEqual([member, stranger]);
    engine.apply({ upsertPolicies: policies(cnp('q', requires)) });
    expect(allowed()).toEqual([member]);
    engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/q'] });
    expect(allowed()).toEqual([member, stranger]);
  });

  it('hold back what every other rule allows, of whatever kind', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [{ fromCIDR: ['0.0.0.0/0'] }, { toPorts: [port(80)] }] }),
      cnp('q', requires, { ...ofWeb, ingress: [{ fromRequires: [{ matchLabels: { app: 'front' } }] }] }),
    ]);
    engine.apply({ upsertIdentities: [...members, prefixIdentity(0, '0.0.0.0/0')] });
    engine.apply({ upsertIdentities: [{ id: 322, labels: pod('back', 'shop', { team: 'a' }) }] });
    const allowed = [member, stranger, 322, 2 ** 24 + 1].filter((peer) => verdict(engine, { peer }) === 'allow');
    expect(allowed).toEqual([member]);
    expect(engine.policiesInDefaultDeny(web, 'ingress')).toHaveLength(2);
  });

  it('of denials are about denials alone', () => {
    const deny = { fromRequires: [{ matchLabels: { team: 'b' } }], fromEntities: ['all'] };
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [fromFront], ingressDeny: [deny] })]);
    engine.apply({ upsertIdentities: members });
    expect([member, stranger].map((peer) => verdict(engine, { peer }))).toEqual(['allow', 'deny']);
  });
});

describe('ports', () => {
  it('in a range are prefixes, of which the narrowest says all', () => {
    const range = (first: number, last: number) => ({
      ports: [{ port: String(first), endPort: last, protocol: 'TCP' }],
    });
    const http = (path: string) => ({ rules: { http: [{ path }] } });
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [{ ...range(8000, 8191), ...http('/wide') }] }] }),
      cnp('q', { ...ofWeb, ingress: [{ toPorts: [{ ...port(8080), ...http('/any') }] }] }),
      cnp('r', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [{ ...range(8128, 8159), ...http('/narrow') }] }] }),
      cnp('s', { ...ofWeb, ingressDeny: [{ toPorts: [range(8150, 8151)] }] }),
    ]);
    const paths = (peer: number, number: number) =>
      ask(engine, { peer, port: number }).ruleSet?.http.map(({ path }) => path);
    expect(paths(front, 8000)).toEqual(['/wide']);
    expect(paths(front, 8191)).toEqual(['/wide']);
    expect(paths(front, 8130)).toEqual(['/narrow', '/wide']);
    expect(paths(front, 8080)).toEqual(['/any', '/wide']);
    expect(paths(other, 8080)).toEqual(['/any']);
    expect([7999, 8192].map((number) => verdict(engine, { peer: front, port: number }))).toEqual([
      'no-match',
      'no-match',
    ]);
    expect([8149, 8150, 8151, 8152].map((number) => verdict(engine, { peer: front, port: number }))).toEqual([
      ...['redirect', 'deny', 'deny', 'redirect'],
    ]);
    expect(verdict(engine, { peer: front, port: 8000, protocol: UDP })).toBe('no-match');
  });

  it('of ICMP messages let just these through', () => {
    const icmps = [{ fields: [{ type: 'EchoRequest' }, { type: 128, family: 'IPv6' as const }] }];
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ ...fromFront, icmps }] })]);
    const through = (protocol: number, type: number) =>
      verdict(engine, { peer: front, protocol, port: icmpPort(type) });
    expect(through(ICMP, 8)).toBe('allow');
    expect(through(ICMPv6, 128)).toBe('allow');
    expect(through(ICMP, 0)).toBe('no-match');
    expect(through(ICMPv6, 8)).toBe('no-match');
    expect(verdict(engine, { peer: front, port: 8 })).toBe('no-match');
    expect(verdict(engine, { peer: other, protocol: ICMP, port: icmpPort(8) })).toBe('no-match');
  });

  it('of ICMP messages are denied by themselves, too', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [fromFront], ingressDeny: [{ icmps: [{ fields: [{ type: 0 }] }] }] }),
    ]);
    const icmp = (type: number) => verdict(engine, { peer: front, protocol: ICMP, port: icmpPort(type) });
    expect([icmp(0), icmp(8), verdict(engine, { peer: front })]).toEqual(['deny', 'allow', 'allow']);
  });

  const named = (name: string, number: number, protocol: number = TCP): NamedPort => ({ name, protocol, port: number });

  it('by name are the ports that pods call so, and open nothing where nobody does', () => {
    const engine = engineWith([
      cnp('p', {
        ...ofWeb,
        ingress: [{ ...fromFront, toPorts: [port('http')] }],
        egress: [{ toEndpoints: [{}], toPorts: [port('http')] }],
      }),
    ]);
    expect(engine.unknownPortNames()).toMatchObject([
      { name: 'http', subjects: [web], origin: { path: 'specs[0].ingress[0].toPorts[0]' } },
      { name: 'http', subjects: [], origin: { path: 'specs[0].egress[0].toPorts[0]' } },
    ]);
    expect(engine.resolve(web)?.entries).toEqual([]);

    const labels = pod('web');
    engine.apply({ upsertSubjects: [{ id: web, labels, namedPorts: [named('HTTP', 8080), named('http', 53, UDP)] }] });
    expect(verdict(engine, { peer: front, port: 8080 })).toBe('allow');
    expect(verdict(engine, { peer: front, port: 80 })).toBe('no-match');
    expect(verdict(engine, { peer: front, port: 53, protocol: UDP })).toBe('no-match');

    const frontPorts = [named('http', 81), named('http', 82)];
    const [change] = engine.apply({
      upsertIdentities: [
        { id: front, labels: pod('front'), namedPorts: frontPorts },
        { id: elsewhere, labels: pod('front', 'away'), namedPorts: [named('http', 83)] },
      ],
    }).subjects;
    expect(change?.upserted.map(({ peerIdentity, port: number }) => [peerIdentity, number])).toEqual([
      [front, 81],
      [front, 82],
    ]);
    const to = (peer: number, number: number) => verdict(engine, { peer, port: number, direction: egress });
    expect([to(front, 81), to(front, 82), to(front, 83), to(elsewhere, 83), to(other, 81)]).toEqual([
      ...['allow', 'allow', 'no-match', 'no-match', 'no-match'],
    ]);
    expect(engine.unknownPortNames()).toEqual([]);
    engine.apply({ upsertIdentities: [{ id: front, labels: pod('front'), namedPorts: [named('http', 82)] }] });
    expect([to(front, 81), to(front, 82)]).toEqual(['no-match', 'allow']);
  });

  it('by name may differ between subjects of one identity', () => {
    const engine = engineWith([networkPolicy({ ingress: [{ ports: [{ port: 'web' }] }] })]);
    const labels = pod('web');
    engine.apply({
      upsertSubjects: [
        { id: 70_001, labels, namedPorts: [named('web', 8080)] },
        { id: 70_002, labels, namedPorts: [named('web', 9090)] },
      ],
    });
    const open = (subject: number) =>
      [8080, 9090].filter((number) => verdict(engine, { subject, peer: world, port: number }) === 'allow');
    expect([open(70_001), open(70_002)]).toEqual([[8080], [9090]]);
  });

  it('by name and without peers are about all peers that call a port so', () => {
    const engine = engineWith([
      networkPolicy({ policyTypes: ['Egress'], egress: [{ ports: [{ port: 'dns', protocol: 'UDP' }] }] }),
    ]);
    engine.apply({
      upsertIdentities: [{ id: elsewhere, labels: pod('front', 'away'), namedPorts: [named('dns', 5353, UDP)] }],
    });
    const to = (peer: number) => verdict(engine, { peer, port: 5353, protocol: UDP, direction: egress });
    expect([to(elsewhere), to(front), to(world)]).toEqual(['allow', 'no-match', 'no-match']);
  });
});

describe('policies', () => {
  it('for nodes are for the host alone, and those for endpoints never are', () => {
    const [node, otherNode] = [9001, 9002];
    const engine = engineWith([
      ccnp('nodes', { nodeSelector: { matchLabels: { role: 'db' } }, ingress: [{ toPorts: [port(22)] }] }),
      [{ endpointSelector: {}, ingress: [{ fromEntities: ['none'] }], labels: ['everybody'] }],
    ]);
    engine.apply({
      upsertSubjects: [
        { id: node, labels: parseLabelSet(['reserved:host', 'k8s:role=db']) },
        { id: otherNode, labels: parseLabelSet(['reserved:host', 'k8s:role=web']) },
      ],
    });
    expect(engine.subjectsOf('CiliumClusterwideNetworkPolicy//nodes')).toEqual([node]);
    expect(engine.subjectsOf('RuleList//unspec:everybody')).toEqual(identities.map(({ id }) => id));
    expect(verdict(engine, { subject: node, peer: world, port: 22 })).toBe('allow');
    expect(verdict(engine, { subject: node, peer: world, port: 23 })).toBe('no-match');
    expect(verdict(engine, { subject: otherNode, peer: world, port: 23 })).toBe('not-enforced');
    expect(engine.apply({ deleteSubjects: [node] }).subjects).toMatchObject([{ subject: node, kind: 'removed' }]);
  });
});

describe('default deny', () => {
  it('turned off beside HTTP rules leaves only other ports open', () => {
    const rule = {
      ...ofWeb,
      ingress: [{ ...fromFront, toPorts: [{ ...port(80), rules: { http: [{ path: '/a' }] } }] }],
      enableDefaultDeny: { ingress: false },
    };
    const engine = engineWith([cnp('p', rule)], { defaultAllow: true });
    expect(engine.resolve(web)).toMatchObject({ ingressEnforced: true, ingressDefaultAllow: true });
    expect(engine.resolve(web)?.entries).toHaveLength(1);
    expect(ask(engine, { peer: front })).toMatchObject({ verdict: 'redirect', ruleSet: { http: [{ path: '/a' }] } });
    expect(ask(engine, { peer: front, port: 81 })).toEqual({ verdict: 'allow', origins: [] });
    expect(verdict(engine, { peer: other })).toBe('allow');
    const [change] = engine.apply({ upsertPolicies: policies(cnp('q', { ...ofWeb, ingress: [{}] })) }).subjects;
    expect(change).toMatchObject({ ingressEnforced: true, ingressDefaultAllow: false, upserted: [], deleted: [] });
    expect(verdict(engine, { peer: other })).toBe('no-match');
  });

  it('turned off beside denials needs no entry for all else', () => {
    const rule = { ...ofWeb, ingressDeny: [fromFront], enableDefaultDeny: { ingress: false } };
    const engine = engineWith([cnp('p', rule)], { defaultAllow: true });
    expect(engine.resolve(web)?.entries).toMatchObject([{ verdict: 'deny' }]);
    expect([front, other].map((peer) => verdict(engine, { peer }))).toEqual(['deny', 'allow']);
  });
});

describe('NetworkPolicy', () => {
  it('that selects a pod isolates it, and allows what its items say', () => {
    const engine = engineWith([
      networkPolicy({
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'front' } } }], ports: [{ port: 80 }] }],
      }),
    ]);
    expect(verdict(engine, { peer: front })).toBe('allow');
    expect(verdict(engine, { peer: front, port: 81 })).toBe('no-match');
    expect(verdict(engine, { peer: elsewhere })).toBe('no-match');
    expect(verdict(engine, { peer: front, direction: egress })).toBe('not-enforced');
    expect(verdict(engine, { subject: other, peer: front, port: 81 })).toBe('not-enforced');
  });

  it('of one peer with both selectors wants both, of two peers one', () => {
    const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': 'away' } };
    const podSelector = { matchLabels: { app: 'other' } };
    const reached = (...from: object[]) => {
      const engine = engineWith([networkPolicy({ ingress: [{ from }] })]);
      return [front, other, elsewhere].filter((peer) => verdict(engine, { peer }) === 'allow');
    };
    expect(reached({ namespaceSelector, podSelector })).toEqual([]);
    expect(reached({ namespaceSelector }, { podSelector })).toEqual([other, elsewhere]);
  });

  it('matches blocks of addresses outside the cluster only', () => {
    const engine = engineWith([networkPolicy({ ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] })]);
    engine.apply({ upsertIdentities: [{ id: 2 ** 24 + 1, labels: cidrIdentityLabels(parseCidr('0.0.0.0/0')) }] });
    expect([2 ** 24 + 1, front].map((peer) => verdict(engine, { peer }))).toEqual(['allow', 'no-match']);
  });
});
