// SPDX-License-Identifier: Apache-2.0
// Peers by address, ports by range, messages of ICMP, and policies that deny without denying everything else.
import { describe, expect, it } from '@jest/globals';
import { expectFlows, type Flows } from './testing/expect-flows.ts';
import { nobody, onPort, policy, toEntities, type Rule, type Sections } from './testing/policy.ts';
import { expectTalking, openConnection } from './testing/reach.ts';
import { without } from './testing/services.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const denied = 'Policy denied';
const refused = 'Policy denied by denylist';
const isA = { app: 'a' };
// Where the world of the lab is, and all that the lab's network has.
const world = ['172.31.0.2/32', 'fd00:172:31::2/128'];
const network = ['172.31.0.0/24', 'fd00:172:31::/64'];
const anywhere = ['0.0.0.0/0', '::/0'];

let a: PlayedPod, outside: PlayedHost;
let parties: readonly (PlayedPod | PlayedHost)[];
const test = useLab('address', async ({ pod, host }) => {
  parties = await Promise.all([
    ...['a', 'b'].map((name) => pod(name, { labels: { app: name } })),
    host('@node1'),
    host('@world'),
  ]);
  [a, , , outside] = parties as [PlayedPod, PlayedPod, PlayedHost, PlayedHost];
  const echoes = parties.flatMap((each) => [7000, 7001].map((port) => each.echo(port, [each.ipv4, each.ipv6])));
  await Promise.all(echoes);
});
const expectOf = (flows: Flows): Promise<void> => expectFlows(test, parties, flows);
const apply = (sections: Sections, name = 'p'): Promise<void> => test.apply(policy(name, isA, sections));

/** Numbers that prefixes have on the node, by prefix. */
async function prefixNumbers(): Promise<Readonly<Record<string, number>>> {
  const agent = test.lab.agent();
  const { identities } = await agent.listIdentities({}).finally(() => agent.close());
  return Object.fromEntries(
    identities.flatMap(({ id, labels }) =>
      (labels ?? []).filter((label) => label.startsWith('cidr:')).map((label) => [label.slice(5), id ?? 0]),
    ),
  );
}

describe('peers by address', () => {
  it('are let in, and let through, by the prefixes that hold them', async () => {
    await apply({ ingress: [{ fromCIDR: network }], egress: [{ toCIDR: world, ...onPort(7000) }] });
    await expectOf({
      '@world → a TCP 7001': 'passes',
      '@world → a ICMP': 'passes',
      'a → @world TCP 7000': 'passes',
      'a → @world TCP 7001': denied,
      'a → @world UDP 7000': denied,
      'a → @world ICMP': denied,
    });
  });

  it('are never pods, nor the host, however wide the prefix', async () => {
    await apply({ ingress: [{ fromCIDR: anywhere }], egress: [{ toCIDR: [...network, ...anywhere] }] });
    await expectOf({
      '@world → a TCP 7000': 'passes',
      'a → @world UDP 7000': 'passes',
      'b → a TCP 7000': denied,
      '@node1 → a TCP 7000': denied,
      'a → b TCP 7000': denied,
      'a → @node1 UDP 7000': denied,
    });
  });

  it('are not those of an exception, unless another rule has them', async () => {
    const [ipv4, ipv6] = network.map((cidr, index): Rule => ({ cidr, except: [world[index]] }));
    await apply({ ingress: [{ fromCIDRSet: [ipv4, ipv6] }] });
    await expectOf({ '@world → a TCP 7000': denied, '@world → a ICMP': denied });
    await apply({ ingress: [{ fromCIDRSet: [ipv4, ipv6] }, { fromCIDR: anywhere, ...onPort(7001) }] });
    await expectOf({ '@world → a TCP 7000': denied, '@world → a TCP 7001': 'passes' });
  });

  it('are of the world for rules about that, and can be denied out of it', async () => {
    await apply({ egress: [toEntities('world')] });
    await test.apply(policy('other', { app: 'b' }, { egress: [{ toCIDR: world }] }));
    await expectOf({ 'a → @world TCP 7000': 'passes', 'b → @world TCP 7000': 'passes' });
    await apply({ egress: [toEntities('world')], egressDeny: [{ toCIDR: network, ...onPort(7000) }] });
    await expectOf({ 'a → @world TCP 7000': refused, 'a → @world TCP 7001': 'passes' });
  });

  it('lose nothing when another policy about them goes, not even a running connection', async () => {
    const listener = await outside.listen(7002);
    await apply({ egress: [{ toCIDR: network }] });
    const other = policy('other', isA, { egress: [{ toCIDR: [...network, ...world] }] });
    await test.apply(other);
    const before = await prefixNumbers();
    const connections = await Promise.all(
      families.map((family) => openConnection(a, { listener, target: { address: outside[family], port: 7002 } })),
    );
    await test.delete(other);
    for (const { client, server } of connections) await expectTalking(client, server);
    expect(await prefixNumbers()).toEqual(
      Object.fromEntries(Object.entries(before).filter(([prefix]) => network.includes(prefix))),
    );
  });

  it('keep their numbers when the agent starts again, and lose them with their last policy', async () => {
    await apply({ egress: [{ toCIDR: [...network, ...world] }] });
    const before = await prefixNumbers();
    expect(Object.keys(before).sort()).toEqual([...network, ...world].sort());
    await without(test.lab, ['node1/agent'], async () => undefined);
    await test.logEventsAnew();
    expect(await prefixNumbers()).toEqual(before);
    await expectOf({ 'a → @world TCP 7000': 'passes' });
    await test.lab.deletePolicy({ all: true });
    expect(await prefixNumbers()).toEqual({});
  });
});

describe('a range of ports', () => {
  it('holds from its first to its last port, for its protocol', async () => {
    const ports = [{ port: '6990', endPort: 7000, protocol: 'TCP' }];
    await apply({ ingress: [{ fromEntities: ['all'], toPorts: [{ ports }] }] });
    await expectOf({
      'b → a TCP 7000': 'passes',
      '@world → a TCP 7000': 'passes',
      'b → a TCP 7001': denied,
      'b → a UDP 7000': denied,
    });
  });

  it('is denied out of what is allowed', async () => {
    const ports = [{ port: '7001', endPort: 65535, protocol: 'UDP' }];
    await apply({
      ingress: [{ fromEntities: ['all'] }],
      ingressDeny: [{ fromEntities: ['cluster'], toPorts: [{ ports }] }],
    });
    await expectOf({
      'b → a UDP 7001': refused,
      'b → a UDP 7000': 'passes',
      'b → a TCP 7001': 'passes',
      '@world → a UDP 7001': 'passes',
    });
  });
});

describe('messages of ICMP', () => {
  const echo = {
    icmps: [
      {
        fields: [
          { family: 'IPv4', type: 'EchoRequest' },
          { family: 'IPv6', type: 128 },
        ],
      },
    ],
  };

  it('are let in by their types alone, and answered', async () => {
    await apply({ ingress: [echo], egress: [nobody] });
    await expectOf({
      'b → a ICMP': 'passes',
      '@world → a ICMP': 'passes',
      'b → a TCP 7000': denied,
      'a → b ICMP': denied,
    });
  });

  it('are denied by their types alone', async () => {
    await apply({ ingress: [{ fromEntities: ['all'] }], ingressDeny: [echo] });
    await expectOf({ 'b → a ICMP': refused, 'b → a TCP 7000': 'passes' });
  });

  it('of another type do not let an echo in', async () => {
    await apply({ ingress: [{ icmps: [{ fields: [{ type: 13 }, { family: 'IPv6', type: 135 }] }] }] });
    await expectOf({ 'b → a ICMP': denied });
  });
});

describe('a policy that turns default deny off', () => {
  it('denies what it denies, and nothing else', async () => {
    const spec = { enableDefaultDeny: { ingress: false }, ingressDeny: [onPort(7000)] };
    await apply(spec as Sections);
    await expectOf({ 'b → a TCP 7000': refused, 'b → a TCP 7001': 'passes', '@world → a ICMP': 'passes' });
    await test.apply(policy('strict', isA, { ingress: [onPort(7000)] }));
    await expectOf({ 'b → a TCP 7000': refused, 'b → a TCP 7001': denied });
  });
});
