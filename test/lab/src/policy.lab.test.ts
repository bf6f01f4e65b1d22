// SPDX-License-Identifier: Apache-2.0
// What each form of rule lets through, and that it is for its pods, its direction and its replies only.
import { beforeAll, describe, expect, it } from '@jest/globals';
import { expectFlows, type Flows } from './testing/expect-flows.ts';
import { fromEntities, fromPods, nobody, onPort, policy, toEntities, toPods, type Sections } from './testing/policy.ts';
import { useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const denied = 'Policy denied';
const refused = 'Policy denied by denylist';
const [isA, isB] = [{ app: 'a' }, { app: 'b' }];

let parties: readonly (PlayedPod | PlayedHost)[];
const test = useLab('policy', async ({ pod, host }) => {
  parties = await Promise.all([
    ...['a', 'b', 'c'].map((name) => pod(name, { labels: { app: name } })),
    host('@node1'),
    host('@world'),
  ]);
  const echoes = parties.flatMap((each) => [7000, 7001].map((port) => each.echo(port, [each.ipv4, each.ipv6])));
  await Promise.all(echoes);
});
const expectOf = (flows: Flows): Promise<void> => expectFlows(test, parties, flows);

/** What only the selected end and direction of a policy may change. */
const untouched: Flows = { 'b → c TCP 7000': 'passes', 'c → b UDP 7001': 'passes', '@world → c ICMP': 'passes' };

describe('an ingress policy of a', () => {
  const apply = (sections: Sections): Promise<void> => test.apply(policy('in', isA, sections));

  it('restricts what comes to a, and neither what a opens nor the replies to that', async () => {
    await apply({ ingress: [nobody] });
    await expectOf({
      'b → a TCP 7000': denied,
      'b → a UDP 7000': denied,
      'b → a ICMP': denied,
      '@node1 → a TCP 7000': denied,
      '@world → a TCP 7000': denied,
      'a → b TCP 7000': 'passes',
      'a → b UDP 7000': 'passes',
      'a → b ICMP': 'passes',
      'a → @node1 TCP 7000': 'passes',
      'a → @world UDP 7001': 'passes',
      'a → a TCP 7000': 'passes',
      ...untouched,
    });
  });

  it('with a peer and no port lets the peer reach every port and protocol', async () => {
    await apply({ ingress: [fromPods(isB)] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'b → a UDP 7001': 'passes',
      'b → a ICMP': 'passes',
      'c → a TCP 7000': denied,
      'c → a ICMP': denied,
      '@world → a UDP 7000': denied,
      ...untouched,
    });
  });

  it('with a port and no peer lets everybody reach that port alone', async () => {
    await apply({ ingress: [onPort(7000)] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      'c → a TCP 7000': 'passes',
      '@node1 → a TCP 7000': 'passes',
      '@world → a TCP 7000': 'passes',
      'b → a TCP 7001': denied,
      'b → a UDP 7000': denied,
      '@world → a TCP 7001': denied,
      'c → a ICMP': denied,
      ...untouched,
    });
  });

  it('with a peer and a port wants both', async () => {
    await apply({ ingress: [{ ...fromPods(isB), ...onPort(7000, 'UDP') }] });
    await expectOf({
      'b → a UDP 7000': 'passes',
      'b → a UDP 7001': denied,
      'b → a TCP 7000': denied,
      'c → a UDP 7000': denied,
      ...untouched,
    });
  });

  it.each<[string, Flows]>([
    ['host', { '@node1 → a TCP 7000': 'passes', '@world → a TCP 7000': denied, 'b → a TCP 7000': denied }],
    ['world', { '@node1 → a TCP 7000': denied, '@world → a TCP 7000': 'passes', 'b → a TCP 7000': denied }],
    ['cluster', { '@node1 → a TCP 7000': 'passes', '@world → a ICMP': denied, 'b → a TCP 7000': 'passes' }],
    ['all', { '@node1 → a TCP 7000': 'passes', '@world → a ICMP': 'passes', 'b → a UDP 7000': 'passes' }],
    ['none', { '@node1 → a TCP 7000': denied, '@world → a TCP 7000': denied, 'b → a TCP 7000': denied }],
  ])('from the entity %s lets in who is meant by that', async (entity, flows) => {
    await apply({ ingress: [fromEntities(entity)] });
    await expectOf({ ...flows, ...untouched });
  });

  it('that denies a peer and allows all keeps out that peer', async () => {
    await apply({ ingress: [fromEntities('all')], ingressDeny: [fromPods(isB)] });
    await expectOf({ 'b → a TCP 7000': refused, 'b → a ICMP': refused, 'c → a TCP 7000': 'passes' });
  });

  it('that denies a port and allows a peer keeps the peer from that port', async () => {
    await apply({ ingress: [fromPods(isB)], ingressDeny: [onPort(7000)] });
    await expectOf({
      'b → a TCP 7000': refused,
      'b → a TCP 7001': 'passes',
      'b → a UDP 7000': 'passes',
      'c → a TCP 7000': refused,
      'c → a TCP 7001': denied,
    });
  });
});

describe('an egress policy of a', () => {
  const apply = (sections: Sections): Promise<void> => test.apply(policy('out', isA, sections));

  it('restricts what a opens, and neither what comes to a nor the replies to that', async () => {
    await apply({ egress: [nobody] });
    await expectOf({
      'a → b TCP 7000': denied,
      'a → b UDP 7000': denied,
      'a → b ICMP': denied,
      'a → @node1 TCP 7000': denied,
      'a → @world TCP 7000': denied,
      'b → a TCP 7000': 'passes',
      'b → a UDP 7000': 'passes',
      'b → a ICMP': 'passes',
      '@node1 → a TCP 7000': 'passes',
      '@world → a UDP 7001': 'passes',
      ...untouched,
    });
  });

  it('with a peer, a port, or both lets a reach that', async () => {
    await apply({ egress: [toPods(isB), onPort(7001), { ...toEntities('world'), ...onPort(7000, 'UDP') }] });
    await expectOf({
      'a → b TCP 7000': 'passes',
      'a → b ICMP': 'passes',
      'a → c TCP 7001': 'passes',
      'a → c TCP 7000': denied,
      'a → c UDP 7001': denied,
      'a → @world TCP 7001': 'passes',
      'a → @world UDP 7000': 'passes',
      'a → @world UDP 7001': denied,
      'a → @node1 UDP 7000': denied,
      ...untouched,
    });
  });

  it.each<[string, Flows]>([
    ['host', { 'a → @node1 TCP 7000': 'passes', 'a → @world TCP 7000': denied, 'a → b TCP 7000': denied }],
    ['world', { 'a → @node1 TCP 7000': denied, 'a → @world TCP 7000': 'passes', 'a → b TCP 7000': denied }],
    ['cluster', { 'a → @node1 TCP 7000': 'passes', 'a → @world ICMP': denied, 'a → b TCP 7000': 'passes' }],
    ['all', { 'a → @node1 TCP 7000': 'passes', 'a → @world ICMP': 'passes', 'a → b UDP 7000': 'passes' }],
  ])('to the entity %s lets a reach who is meant by that', async (entity, flows) => {
    await apply({ egress: [toEntities(entity)] });
    await expectOf({ ...flows, ...untouched });
  });

  it('that denies a peer and allows all keeps a from that peer', async () => {
    await apply({ egress: [toEntities('all')], egressDeny: [toPods(isB)] });
    await expectOf({ 'a → b TCP 7000': refused, 'a → c TCP 7000': 'passes', 'a → @world TCP 7000': 'passes' });
  });
});

describe('several policies', () => {
  it('of one pod add up', async () => {
    await test.apply(
      policy('one', isA, { ingress: [fromPods(isB)] }),
      policy('two', isA, { ingress: [{ ...fromPods({ app: 'c' }), ...onPort(7001) }] }),
    );
    await expectOf({
      'b → a TCP 7000': 'passes',
      'c → a TCP 7001': 'passes',
      'c → a TCP 7000': denied,
      '@world → a TCP 7001': denied,
    });
  });

  it('of both ends must both allow', async () => {
    await test.apply(
      policy('out', isB, { egress: [onPort(7000), onPort(7001)] }),
      policy('in', isA, { ingress: [onPort(7000)] }),
    );
    await expectOf({ 'b → a TCP 7000': 'passes', 'b → a TCP 7001': denied, 'b → c TCP 7001': 'passes' });
  });

  it('deny what one of them denies', async () => {
    await test.apply(
      policy('one', isA, { ingress: [fromEntities('all')] }),
      policy('two', isA, { ingressDeny: [{ ...fromPods(isB), ...onPort(7000) }] }),
    );
    await expectOf({ 'b → a TCP 7000': refused, 'b → a TCP 7001': 'passes', 'c → a TCP 7000': 'passes' });
  });

  it('end one by one, and with the last one everything is open again', async () => {
    await test.apply(policy('one', isA, { ingress: [fromPods(isB)] }), policy('two', isB, { egress: [nobody] }));
    await expectOf({ 'b → a TCP 7000': denied, 'c → a TCP 7000': denied });
    await test.delete(policy('two', isB, { egress: [nobody] }));
    await expectOf({ 'b → a TCP 7000': 'passes', 'c → a TCP 7000': denied });
    await test.delete(policy('one', isA, { ingress: [fromPods(isB)] }));
    await expectOf({ 'b → a TCP 7000': 'passes', 'c → a TCP 7000': 'passes', 'a → b ICMP': 'passes' });
  });

  it('with the same name replace each other', async () => {
    await test.apply(policy('one', isA, { ingress: [fromPods(isB)] }));
    await test.apply(policy('one', isA, { ingress: [fromPods({ app: 'c' })] }));
    await expectOf({ 'b → a TCP 7000': denied, 'c → a TCP 7000': 'passes' });
  });
});

describe('a list of rules in JSON', () => {
  const rules = [
    {
      endpointSelector: { matchLabels: isA },
      labels: ['name=list'],
      ingress: [{ ...fromPods(isB), ...onPort(7000) }],
    },
    { endpointSelector: { matchLabels: { app: 'c' } }, labels: ['name=list'], egress: [toEntities('host')] },
  ];

  it('is enforced like policies, and deleted by its file', async () => {
    await test.apply(rules);
    await expectOf({
      'b → a TCP 7000': 'passes',
      'b → a TCP 7001': denied,
      'c → b TCP 7000': denied,
      'c → @node1 TCP 7000': 'passes',
    });
    await test.delete(rules);
    await expectOf({ 'b → a TCP 7001': 'passes', 'c → b TCP 7000': 'passes' });
  });
});

describe('a policy of another namespace', () => {
  let other: PlayedPod;
  beforeAll(async () => {
    other = await test.pod('d', { namespace: 'other', labels: isA });
    await other.echo(7000, [other.ipv4, other.ipv6]);
    parties = [...parties, other];
  });

  it('leaves pods with the same labels alone, and means peers of its own namespace', async () => {
    const elsewhere = {
      ...policy('in', isA, { ingress: [fromPods(isB)] }),
      metadata: { name: 'in', namespace: 'other' },
    };
    await test.apply(elsewhere);
    expect(other.namespace).toBe('other');
    await expectOf({ 'b → a TCP 7000': 'passes', 'c → a TCP 7000': 'passes', 'b → d TCP 7000': denied });
  });
});
