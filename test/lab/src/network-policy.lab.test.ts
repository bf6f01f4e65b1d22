// SPDX-License-Identifier: Apache-2.0
// What the NetworkPolicy of Kubernetes means where it is easy to get wrong.
import { beforeAll, describe, expect, it } from '@jest/globals';
import { expectFlows, type Flows } from './testing/expect-flows.ts';
import { expectTalking, openConnection } from './testing/reach.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';
import { giveWorld } from './testing/world-address.ts';

const denied = 'Policy denied';
const [isA, isB] = [{ podSelector: { matchLabels: { app: 'a' } } }, { podSelector: { matchLabels: { app: 'b' } } }];
const inTeam = (team: string): object => ({ namespaceSelector: { matchLabels: { team } } });
const on = (port: number, protocol?: string): object => ({ port, ...(protocol !== undefined && { protocol }) });
/** A policy of the namespace `shop`, for its pods a unless the spec says otherwise. */
const policy = (spec: object, name = 'np'): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'shop' },
  spec: { ...isA, ...spec },
});

// An address besides that of the world, outside the cluster as well.
const second = { name: '@world', ipv4: '172.31.0.3', ipv6: 'fd00:172:31::3' };
const livePort = 7100;
/** What a pod calls `web`. */
const web = (port: number) => ({ namedPorts: [{ name: 'web', protocol: 6, port }] });

let pods: Readonly<Record<'a' | 'b' | 'c' | 'd', PlayedPod>>;
let parties: readonly (PlayedPod | PlayedHost)[];
const test = useLab('netpol', async ({ lab, pod, host }) => {
  await giveWorld(lab, [second.ipv4, second.ipv6]);
  await lab.labelNamespace('shop', { set: { team: 'red' } });
  const [a, b, c, d, ...hosts] = await Promise.all([
    pod('a', { namespace: 'shop', labels: { app: 'a' }, ...web(7000) }),
    pod('b', { namespace: 'shop', labels: { app: 'b' }, ...web(7001) }),
    pod('c', { namespace: 'ops', labels: { app: 'c' } }),
    pod('d', { namespace: 'ops', labels: { app: 'b' } }),
    host('@node1'),
    host('@world'),
  ]);
  await lab.labelNamespace('ops', { set: { team: 'blue' } });
  pods = { a, b, c, d };
  parties = [a, b, c, d, ...hosts];
  const ports = [53, 7000, 7001];
  await Promise.all(parties.flatMap((each) => ports.map((port) => each.echo(port, [each.ipv4, each.ipv6]))));
});
const expectOf = (flows: Flows): Promise<void> => expectFlows(test, parties, flows);
const apply = (...specs: readonly object[]): Promise<void> =>
  test.apply(...specs.map((spec, index) => policy(spec, `np${index}`)));

describe('an empty podSelector', () => {
  it('of a policy selects all pods of its namespace, and of no other', async () => {
    await apply({ podSelector: {}, policyTypes: ['Ingress'] });
    await expectOf({
      'b → a TCP 7000': denied,
      'a → b TCP 7000': denied,
      'c → b UDP 7000': denied,
      '@node1 → a TCP 7000': denied,
      '@world → b ICMP': denied,
      'a → c TCP 7000': 'passes',
      'd → c TCP 7000': 'passes',
    });
  });

  it('of a peer is every pod of the namespace of the policy, and nobody else', async () => {
    await apply({ ingress: [{ from: [{ podSelector: {} }] }] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'b → a ICMP': 'passes',
      'd → a TCP 7000': denied,
      '@node1 → a TCP 7000': denied,
      '@world → a TCP 7000': denied,
    });
  });
});

describe('peers and items that are empty', () => {
  it.each<[string, object]>([
    ['an empty from', { from: [] }],
    ['no from', {}],
  ])('%s is everybody, outside the cluster, too', async (_, peers) => {
    await apply({ ingress: [{ ...peers, ports: [on(7000)] }] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'c → a TCP 7000': 'passes',
      '@node1 → a TCP 7000': 'passes',
      '@world → a TCP 7000': 'passes',
      'b → a TCP 7001': denied,
      '@world → a UDP 7000': denied,
    });
  });

  it('an empty item lets everybody in on every port and protocol', async () => {
    await apply({ ingress: [{}] });
    await expectOf({ 'c → a UDP 7001': 'passes', '@world → a ICMP': 'passes', '@node1 → a TCP 7000': 'passes' });
  });

  it('an empty section lets nobody in', async () => {
    await apply({ ingress: [] });
    await expectOf({ 'b → a TCP 7000': denied, '@world → a ICMP': denied, 'a → b TCP 7000': 'passes' });
  });
});

describe('policyTypes', () => {
  it('are Ingress by default, also where the policy says nothing of it', async () => {
    await apply({});
    await expectOf({ 'b → a TCP 7000': denied, 'a → b TCP 7000': 'passes' });
  });

  it('are both by default where there are rules for egress: nobody comes in then', async () => {
    await apply({ egress: [{ to: [isB] }] });
    await expectOf({ 'b → a TCP 7000': denied, 'a → b TCP 7000': 'passes', 'a → c TCP 7000': denied });
  });

  it('that have Egress alone leave ingress open, and nothing goes out without a rule', async () => {
    await apply({ policyTypes: ['Egress'] });
    await expectOf({ 'b → a TCP 7000': 'passes', 'a → b TCP 7000': denied, 'a → @world ICMP': denied });
  });

  it('that have Ingress alone make rules for egress mean nothing', async () => {
    await apply({ policyTypes: ['Ingress'], ingress: [{ from: [isB] }], egress: [{ to: [isB] }] });
    await expectOf({ 'b → a TCP 7000': 'passes', 'c → a TCP 7000': denied, 'a → c TCP 7000': 'passes' });
  });

  it('that have both restrict both at once, and replies pass all the same', async () => {
    await apply({
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [isB], ports: [on(7000)] }],
      egress: [{ to: [{ ...inTeam('blue') }], ports: [on(7001)] }],
    });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'b → a TCP 7001': denied,
      'c → a TCP 7000': denied,
      'a → b TCP 7000': denied,
      'a → c TCP 7001': 'passes',
      'a → c TCP 7000': denied,
    });
  });
});

describe('selectors of namespaces and pods', () => {
  it('in one item must both hold', async () => {
    await apply({ ingress: [{ from: [{ ...inTeam('blue'), ...isB }] }] });
    await expectOf({ 'd → a TCP 7000': 'passes', 'c → a TCP 7000': denied, 'b → a TCP 7000': denied });
  });

  it('in two items are alternatives', async () => {
    await apply({ ingress: [{ from: [inTeam('blue'), isB] }] });
    await expectOf({
      'd → a TCP 7000': 'passes',
      'c → a TCP 7000': 'passes',
      'b → a TCP 7000': 'passes',
      '@node1 → a TCP 7000': denied,
      '@world → a TCP 7000': denied,
    });
  });

  it('of any namespace are pods, not the host and not the world', async () => {
    await apply({ ingress: [{ from: [{ namespaceSelector: {} }] }] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'c → a UDP 7000': 'passes',
      '@node1 → a TCP 7000': denied,
      '@world → a TCP 7000': denied,
    });
  });

  it('may name a namespace by the label that is its name', async () => {
    const isOps = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ops' } } };
    await apply({ ingress: [{ from: [isOps] }] });
    await expectOf({ 'c → a TCP 7000': 'passes', 'b → a TCP 7000': denied });
  });

  it('follow the labels of a namespace, for what is open as well', async () => {
    await apply({ ingress: [{ from: [inTeam('green')] }] });
    await expectOf({ 'c → a TCP 7000': denied, 'b → a TCP 7000': denied });
    await test.lab.labelNamespace('ops', { set: { team: 'green' } });
    expect(await test.lab.namespaces()).toEqual([
      { name: 'ops', labels: { team: 'green' } },
      { name: 'shop', labels: { team: 'red' } },
    ]);
    await expectOf({ 'c → a TCP 7000': 'passes', 'd → a TCP 7000': 'passes', 'b → a TCP 7000': denied });
    const listener = await pods.a.listen(livePort);
    const open = [];
    for (const family of families) {
      open.push(await openConnection(pods.c, { listener, target: { address: pods.a[family], port: livePort } }));
    }
    await test.lab.labelNamespace('ops', { remove: ['team'] });
    const since = test.events.mark();
    for (const { client } of open) await client.send('secret');
    for (const family of families) {
      await test.events.find(since, { type: 'drop', from: 'c', address: pods.a[family], reason: denied });
    }
    await expectOf({ 'c → a TCP 7000': denied });
    await test.lab.labelNamespace('ops', { set: { team: 'green' } });
    for (const { server, client } of open) {
      expect(await server.receive(6, 20_000)).toBe('secret');
      await expectTalking(client, server);
      await Promise.all([client.close(), server.close()]);
    }
    await listener.close();
    await test.lab.labelNamespace('ops', { set: { team: 'blue' } });
  });
});

describe('ports', () => {
  it('that are absent or empty are every port and protocol of the peer', async () => {
    await apply({ ingress: [{ from: [isB], ports: [] }, { from: [inTeam('blue')] }] });
    await expectOf({ 'b → a TCP 7001': 'passes', 'b → a UDP 7000': 'passes', 'c → a ICMP': 'passes' });
  });

  it('without a protocol are of TCP, without a number of all ports of the protocol', async () => {
    await apply({ ingress: [{ from: [isB], ports: [on(7000), { protocol: 'UDP' }] }] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'b → a TCP 7001': denied,
      'b → a UDP 7000': 'passes',
      'b → a UDP 7001': 'passes',
      'b → a ICMP': denied,
    });
  });

  it('by name are what each pod calls so: its own for what comes in, its peers for what goes out', async () => {
    await test.apply(policy({ podSelector: {}, ingress: [{ ports: [{ port: 'web' }] }] }, 'in'));
    await expectOf({
      'c → a TCP 7000': 'passes',
      'c → a TCP 7001': denied,
      'c → b TCP 7001': 'passes',
      'c → b TCP 7000': denied,
    });
    await test.delete(policy({ podSelector: {}, ingress: [{ ports: [{ port: 'web' }] }] }, 'in'));
    await apply({ policyTypes: ['Egress'], egress: [{ to: [isB, inTeam('blue')], ports: [{ port: 'web' }] }] });
    await expectOf({
      'a → b TCP 7001': 'passes',
      'a → b TCP 7000': denied,
      'a → c TCP 7000': denied,
      'a → c TCP 7001': denied,
    });
  });

  it('may be a range', async () => {
    await apply({ ingress: [{ ports: [{ ...on(6500), endPort: 7000 }] }] });
    await expectOf({ 'b → a TCP 7000': 'passes', 'b → a TCP 7001': denied, 'b → a UDP 7000': denied });
  });
});

describe('ipBlock', () => {
  const except = [`${second.ipv4}/32`, `${second.ipv6}/128`];
  const lan = (excepted: readonly string[]): object[] =>
    ['172.31.0.0/24', 'fd00:172:31::/64'].map((cidr, index) => ({
      ipBlock: { cidr, except: excepted.slice(index, index + 1) },
    }));
  let elsewhere: readonly (PlayedPod | PlayedHost)[];
  beforeAll(async () => {
    const world = await test.host('@world');
    await world.echo(7002, [second.ipv4, second.ipv6]);
    elsewhere = [pods.a, { ...world, ...second }];
  });

  it('is addresses outside the cluster, without those that are excepted', async () => {
    await apply({ policyTypes: ['Egress'], egress: [{ to: lan(except) }] });
    await expectOf({ 'a → @world TCP 7000': 'passes', 'a → @world UDP 7000': 'passes' });
    await expectFlows(test, elsewhere, { 'a → @world TCP 7002': denied, 'a → @world UDP 7002': denied });
    await apply({ policyTypes: ['Egress'], egress: [{ to: lan([]) }] });
    await expectFlows(test, elsewhere, { 'a → @world TCP 7002': 'passes', 'a → @world UDP 7002': 'passes' });
  });

  it('of a peer that comes in is the address that it comes from', async () => {
    await apply({ ingress: [{ from: lan(['172.31.0.2/32', 'fd00:172:31::2/128']), ports: [on(7000)] }] });
    await expectOf({ '@world → a TCP 7000': denied });
    await apply({ ingress: [{ from: lan(except), ports: [on(7000)] }] });
    await expectOf({ '@world → a TCP 7000': 'passes', '@world → a TCP 7001': denied, '@node1 → a TCP 7000': denied });
  });

  it('of all addresses is not about pods, nor about the node', async () => {
    const everything = ['0.0.0.0/0', '::/0'].map((cidr) => ({ ipBlock: { cidr } }));
    await apply({ ingress: [{ from: everything }] });
    await expectOf({ '@world → a TCP 7000': 'passes', 'b → a TCP 7000': denied, '@node1 → a TCP 7000': denied });
  });
});

describe('egress to DNS', () => {
  it('is open to the pods that serve it, on its port, and what they answer with is not', async () => {
    const toDns = { to: [{ ...inTeam('blue'), ...isB }], ports: [on(53, 'UDP'), on(53)] };
    await apply({ podSelector: {}, policyTypes: ['Egress'], egress: [toDns] });
    await expectOf({
      'a → d UDP 53': 'passes',
      'a → d TCP 53': 'passes',
      'b → d UDP 53': 'passes',
      'a → d UDP 7000': denied,
      'a → c UDP 53': denied,
      'a → b TCP 53': denied,
      'a → @world UDP 53': denied,
      'c → @world UDP 53': 'passes',
      'd → a TCP 7000': 'passes',
    });
  });
});

describe.each(families)('deletion while a connection over %s lives', (family) => {
  it('of what allows it cuts it where another policy isolates, and of that one heals it', async () => {
    const [allowing, isolating] = [policy({ ingress: [{ from: [isB] }] }, 'allow'), policy({}, 'isolate')];
    await test.apply(allowing, isolating);
    const listener = await pods.a.listen(livePort);
    const open = await openConnection(pods.b, { listener, target: { address: pods.a[family], port: livePort } });
    await expectTalking(open.client, open.server);
    await test.delete(allowing);
    const since = test.events.mark();
    await open.client.send('secret');
    const drop = await test.events.find(since, { type: 'drop', from: 'b', address: pods.a[family], reason: denied });
    expect(drop.policies).toEqual(['shop/isolate']);
    await test.delete(isolating);
    expect(await open.server.receive(6, 20_000)).toBe('secret');
    await expectTalking(open.client, open.server);
    await Promise.all([open.client.close(), open.server.close(), listener.close()]);
  });

  it('of the only policy leaves it alone', async () => {
    const allowing = policy({ policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [isB] }], egress: [{}] });
    await test.apply(allowing);
    const listener = await pods.a.listen(livePort);
    const open = await openConnection(pods.b, { listener, target: { address: pods.a[family], port: livePort } });
    await expectTalking(open.client, open.server);
    await test.delete(allowing);
    await expectTalking(open.client, open.server);
    await expectOf({ 'c → a TCP 7000': 'passes' });
    await Promise.all([open.client.close(), open.server.close(), listener.close()]);
  });
});
