// SPDX-License-Identifier: Apache-2.0
// Which entries policies become: as few as say the same.
import { clusterPeer, parseLabelSet, reservedIdentity } from '@weir/model';
import type { PolicyEntry } from '../policy-entry.ts';
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

const options = { clusterPeer: { clusterName: 'default' } };
const brief = (entries: readonly PolicyEntry[] | undefined): string[] =>
  (entries ?? [])
    .map(({ peerIdentity, protocol, port: number, verdict: v }) => `${peerIdentity} ${protocol}/${number} ${v}`)
    .sort();
const entriesOf = (engine: PolicyEngine): string[] => brief(engine.resolve(web)?.entries);

describe('all pods', () => {
  const allPods = ccnp('p', { endpointSelector: {}, ingress: [{ fromEndpoints: [{}], toPorts: [port(80)] }] });
  const stranger = { id: 330, labels: parseLabelSet(['container:app=x']) };

  it('are one peer where a datapath knows it, and one entry for each of them where it does not', () => {
    expect(entriesOf(engineWith([allPods], options))).toEqual([`${clusterPeer} 6/80 allow`]);
    expect(entriesOf(engineWith([allPods]))).toHaveLength(identities.length);
  });

  it('are also the pods of the entity cluster, beside reserved identities', () => {
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [{ fromEntities: ['cluster'] }] })], options);
    const { host, health, init, unmanaged } = reservedIdentity;
    const reserved = [host, unmanaged, health, init, 6, 7].map((id) => `${id} 0/0 allow`);
    expect(entriesOf(engine)).toEqual([...reserved, `${clusterPeer} 0/0 allow`].sort());
    expect(engine.apply({ upsertIdentities: [{ id: 340, labels: pod('new') }] }).subjects).toEqual([]);
    expect(verdict(engine, { peer: 340 })).toBe('allow');
  });

  it('are one entry each as long as somebody of their range is none, and nobody gets in who should not', () => {
    const engine = engineWith([allPods], options);
    const [split] = engine.apply({ upsertIdentities: [stranger] }).subjects;
    expect(brief(split?.upserted)).toEqual(identities.map(({ id }) => `${id} 6/80 allow`));
    expect(split?.deleted).toMatchObject([{ peerIdentity: clusterPeer }]);
    expect(verdict(engine, { peer: stranger.id })).toBe('no-match');
    expect(verdict(engine, { peer: front })).toBe('allow');
    const [joined] = engine.apply({ deleteIdentities: [stranger.id] }).subjects;
    expect(brief(joined?.upserted)).toEqual([`${clusterPeer} 6/80 allow`]);
    expect(joined?.deleted).toHaveLength(identities.length);
  });

  it('of another cluster are not pods of this one, of which none is known', () => {
    const matchLabels = { 'k8s:io.cilium.k8s.policy.cluster': 'far' };
    const engine = engineWith([[{ ...ofWeb, ingress: [{ fromEndpoints: [{ matchLabels }] }] }]], options);
    engine.apply({ deleteIdentities: identities.map(({ id }) => id) });
    expect(entriesOf(engine)).toEqual([]);
  });

  it('and one of them add up to one rule set', () => {
    const http = (path: string) => ({ ...port(80), rules: { http: [{ path }] } });
    const engine = engineWith(
      [
        ccnp('p', { endpointSelector: {}, ingress: [{ fromEndpoints: [{}], toPorts: [http('/all')] }] }),
        cnp('q', { ...ofWeb, ingress: [{ ...fromFront, toPorts: [http('/front')] }] }),
        cnp('r', { ...ofWeb, ingress: [{ toPorts: [http('/any')] }] }),
      ],
      options,
    );
    const paths = (peer: number) => ask(engine, { peer }).ruleSet?.http.map(({ path }) => path);
    expect(paths(front)).toEqual(['/all', '/any', '/front']);
    expect(paths(elsewhere)).toEqual(['/all', '/any']);
    expect(paths(reservedIdentity.world)).toEqual(['/any']);
    expect(entriesOf(engine)).toHaveLength(3);
  });
});

describe('entries that could change nothing', () => {
  const http = { ...port(80), rules: { http: [{ path: '/a' }] } };

  it.each([
    ['allows the port to anybody', { toPorts: [port(80)] }, '0 6/80 allow'],
    ['allows the peer every port', fromFront, `${front} 0/0 allow`],
    ['allows everything', { fromEntities: ['all'] }, '0 0/0 allow'],
  ])('are not there when a wider one %s', (_what, wider, entry) => {
    const narrow = { ...fromFront, toPorts: [http] };
    const engine = engineWith([cnp('p', { ...ofWeb, ingress: [narrow] })]);
    expect(entriesOf(engine)).toEqual([`${front} 6/80 redirect`]);
    const [come] = engine.apply({ upsertPolicies: policies(cnp('q', { ...ofWeb, ingress: [wider] })) }).subjects;
    expect(entriesOf(engine)).toEqual([entry]);
    expect(come?.deleted.length).toBe(entry.startsWith(`${front} 6/80`) ? 0 : 1);
    const [go] = engine.apply({ deletePolicies: ['CiliumNetworkPolicy/shop/q'] }).subjects;
    expect(brief(go?.upserted)).toEqual([`${front} 6/80 redirect`]);
  });

  it('are not there when a wider one denies, but a narrower denial stays beside a wider allowance', () => {
    const deny = cnp('d', { ...ofWeb, ingress: [{ toPorts: [port(80)] }], ingressDeny: [{ ...fromFront }] });
    expect(entriesOf(engineWith([deny]))).toEqual([`0 6/80 allow`, `${front} 0/0 deny`]);
    const narrow = cnp('d', { ...ofWeb, ingress: [fromFront], ingressDeny: [{ ...fromFront, toPorts: [port(80)] }] });
    expect(entriesOf(engineWith([narrow]))).toEqual([`${front} 0/0 allow`, `${front} 6/80 deny`]);
  });

  it('come with a peer that a wider rule is not about', () => {
    const engine = engineWith([
      cnp('p', { ...ofWeb, ingress: [{ fromEndpoints: [{}], toPorts: [port(80)] }] }),
      cnp('q', { ...ofWeb, ingress: [fromFront] }),
    ]);
    expect(entriesOf(engine)).toEqual(
      [web, other]
        .map((id) => `${id} 6/80 allow`)
        .concat(`${front} 0/0 allow`)
        .sort(),
    );
  });
});
