// SPDX-License-Identifier: Apache-2.0
// Random policies and random flows: what the programs say is compared with the rules of docs/architecture.md, written down
// once more as plainly as can be. A failing run prints its seed.
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { conversation, echo, protocol, sctp, tcp, udp, type Transport } from '../node/conversation.ts';
import { allPods, icmpPort, type PolicyRules, type Rule } from '../node/policy-writer.ts';
import {
  client,
  families,
  host,
  office,
  pods,
  remotePod,
  server,
  world,
  type Family,
  type Party,
} from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';

const everybody: readonly Party[] = [...pods, host, remotePod, office, world];
const transports: readonly Transport[] = [
  ...[80, 81, 95, 96].map((to) => tcp(40000, to)),
  ...[udp(40000, 80), udp(80, 81), sctp(40000, 95), echo(7), protocol(47)],
];
const protocols = { tcp: 6, udp: 17, sctp: 132 } as const;

const protocolOf = (over: Transport, family: Family): number => {
  if (over.kind === 'echo') return family === 'ipv4' ? 1 : 58;
  return over.kind === 'protocol' ? over.number : protocols[over.kind];
};
const portOf = (over: Transport, family: Family): number => {
  if (over.kind === 'echo') return icmpPort(family === 'ipv4' ? 8 : 128);
  return 'to' in over ? over.to : 0;
};

const byName = (name: string): Party => everybody.find((party) => party.name === name)!;
const arbitraryName = fc.constantFrom(...everybody.map(({ name }) => name));
const everyPod = 'every pod';
const isPod = ({ identity }: Party): boolean => identity >= 256 && identity < 2 ** 24;

/** As {@link Rule}, with the peer's name: a counterexample can then be read. */
type NamedRule = Omit<Rule, 'peer'> & { readonly peer?: string };
interface NamedPolicy {
  readonly ingress?: readonly NamedRule[];
  readonly egress?: readonly NamedRule[];
  readonly defaultAllow?: boolean;
}

// 80–95, 64–127, 0–32767.
const ranges = [
  { port: 80, portPrefixLength: 12 },
  { port: 64, portPrefixLength: 10 },
  { port: 0, portPrefixLength: 1 },
];
const arbitraryL4 = fc.constantFrom<{ protocol?: number; port?: number; portPrefixLength?: number }>(
  {},
  ...[1, 6, 17, 47, 58, 132].map((number) => ({ protocol: number })),
  ...[80, 81].flatMap((port) => [6, 17].map((number) => ({ protocol: number, port }))),
  ...ranges.flatMap((range) => [6, 17, 132].map((number) => ({ protocol: number, ...range }))),
  { protocol: 1, port: icmpPort(8) },
  { protocol: 58, port: icmpPort(128) },
);
const arbitraryRule = fc
  .record(
    {
      peer: fc.oneof(arbitraryName, fc.constant(everyPod)),
      l4: arbitraryL4,
      verdict: fc.constantFrom('allow' as const, 'redirect' as const, 'refuse' as const),
      ruleSet: fc.integer({ min: 1, max: 9 }),
      cookie: fc.integer({ min: 1, max: 1000 }),
    },
    { requiredKeys: ['l4', 'verdict', 'ruleSet', 'cookie'] },
  )
  .map(({ l4, ...rest }): NamedRule => ({ ...l4, ...rest }));

// A map has one entry for a key.
const keyOf = ({ peer, protocol: number, port, portPrefixLength }: NamedRule): string =>
  `${peer}/${number}/${port}/${portPrefixLength}`;
const arbitraryRules = fc.uniqueArray(arbitraryRule, { maxLength: 8, selector: keyOf });
const arbitraryPolicy: fc.Arbitrary<NamedPolicy> = fc.record(
  { ingress: arbitraryRules, egress: arbitraryRules, defaultAllow: fc.boolean() },
  { requiredKeys: [] },
);

const withPeers = (rules: readonly NamedRule[] | undefined): readonly Rule[] | undefined =>
  rules?.map(({ peer, ...rest }) => ({
    ...rest,
    ...(peer === undefined ? {} : { peer: peer === everyPod ? allPods : byName(peer) }),
  }));
const policyOf = ({ ingress, egress, defaultAllow = false }: NamedPolicy): PolicyRules => ({
  defaultAllow,
  ...(ingress === undefined ? {} : { ingress: withPeers(ingress) ?? [] }),
  ...(egress === undefined ? {} : { egress: withPeers(egress) ?? [] }),
});

const arbitraryFlow = fc
  .record({
    family: fc.constantFrom(...families),
    from: arbitraryName,
    to: arbitraryName,
    over: fc.constantFrom(...transports),
  })
  .filter(({ from, to }) => from !== to && [from, to].some((name) => byName(name).place === 'pod'));

/** What one direction says: nothing against it, a reason against it, or a rule set that the proxy must apply. */
interface Flow {
  readonly family: Family;
  readonly over: Transport;
}
type Say = { readonly reason?: string; readonly ruleSet?: number; readonly cookie: number };

const bitsOf = ({ portPrefixLength = 16 }: Rule): number => portPrefixLength;
const hasPort = (rule: Rule, port: number): boolean =>
  rule.port === undefined || (port !== 0 && port >> (16 - bitsOf(rule)) === rule.port >> (16 - bitsOf(rule)));

const matches = (rule: Rule, peer: Party, { family, over }: Flow): boolean =>
  (rule.peer === undefined || rule.peer.identity === peer.identity || (rule.peer === allPods && isPod(peer))) &&
  (rule.protocol === undefined || rule.protocol === protocolOf(over, family)) &&
  hasPort(rule, portOf(over, family));

/** A peer outweighs everything, then the bits of a port, then a protocol. */
const weight = (rule: Rule): number =>
  (rule.peer === undefined ? 0 : rule.peer === allPods ? 100 : 200) +
  (rule.port === undefined ? 0 : 2 * bitsOf(rule)) +
  (rule.protocol === undefined ? 0 : 1);

/** Of the ranges of one peer only the narrowest is found. */
const isFound = (rule: Rule, index: number, all: readonly Rule[]): boolean =>
  rule.port === undefined ||
  bitsOf(rule) === 16 ||
  !all.slice(0, index).some((each) => each.peer === rule.peer && each.port !== undefined && bitsOf(each) < 16);

function say(
  { rules, defaultAllow = false }: { rules?: readonly Rule[] | undefined; defaultAllow?: boolean | undefined },
  peer: Party,
  flow: Flow,
): Say {
  if (rules === undefined) return { cookie: 0 };
  const { over } = flow;
  const matching = rules.filter((rule) => matches(rule, peer, flow)).toSorted((a, b) => weight(b) - weight(a));
  const found = matching.filter(isFound);
  const first = (verdict: Rule['verdict']) => found.find((rule) => rule.verdict === verdict);
  const [refusal, allowance, redirect] = [first('refuse'), first('allow'), first('redirect')];
  if (refusal) return { reason: 'policyDeny', cookie: refusal.cookie! };
  if (allowance) return { cookie: allowance.cookie! };
  if (!redirect) return defaultAllow ? { cookie: 0 } : { reason: 'policyDenied', cookie: 0 };
  if (over.kind !== 'tcp') return { reason: 'proxyUnsupportedProtocol', cookie: redirect.cookie! };
  return { ruleSet: redirect.ruleSet!, cookie: redirect.cookie! };
}

describePackets('policy', () => {
  const node = usePacketNode({ config: { eventsPerInterval: 0 } });
  let cases = 0;

  function check(
    policies: ReadonlyMap<Party, PolicyRules>,
    flow: { family: Family; from: Party; to: Party; over: Transport },
  ) {
    const { from, to } = flow;
    const [sender, receiver] = [policies.get(from), policies.get(to)];
    const egress = say({ rules: sender?.egress, defaultAllow: sender?.defaultAllow }, to, flow);
    const ingress = say({ rules: receiver?.ingress, defaultAllow: receiver?.defaultAllow }, from, flow);
    const hook = from.place === 'pod' ? 'egress' : 'ingress';
    node.forgetFlows();
    const { verdict } = node.send(from, conversation(flow).ask('SYN'));
    cases++;
    if (egress.reason) return expect(verdict).toBe(`dropped: ${egress.reason} egress`);
    if (ingress.reason) return expect(verdict).toBe(`dropped: ${ingress.reason} ingress`);
    if (egress.ruleSet || ingress.ruleSet) expect(verdict).toBe(`dropped: proxyNotListening ${hook}`);
    else expect(verdict).toBe(to.place === 'pod' ? `to ${to.name}` : 'to stack');
    return expect(node.flows().map(({ entry }) => entry)).toMatchObject([
      {
        egressRuleSet: egress.ruleSet ?? 0,
        ingressRuleSet: ingress.ruleSet ?? 0,
        egressCookie: egress.cookie,
        ingressCookie: ingress.cookie,
      },
    ]);
  }

  it('decides as the rules say, for any policies and any flow', () => {
    fc.assert(
      fc.property(
        fc.record({ client: arbitraryPolicy, server: arbitraryPolicy }),
        fc.array(arbitraryFlow, { minLength: 8, maxLength: 8 }),
        (named, flows) => {
          const policies = new Map<Party, PolicyRules>([
            [client, policyOf(named.client)],
            [server, policyOf(named.server)],
          ]);
          for (const pod of [client, server]) node.setPolicy(pod, policies.get(pod)!);
          for (const { family, from, to, over } of flows) {
            check(policies, { family, from: byName(from), to: byName(to), over });
          }
        },
      ),
      { numRuns: 300 },
    );
    expect(cases).toBeGreaterThanOrEqual(2000);
  });
});
