// SPDX-License-Identifier: Apache-2.0
// Random policies and random flows: what the programs say is compared with the rules of docs/architecture.md, written down
// once more as plainly as can be. A failing run prints its seed.
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { conversation, protocol, tcp, udp, type Transport } from '../node/conversation.ts';
import type { PolicyRules, Rule } from '../node/policy-writer.ts';
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
const transports: readonly Transport[] = [tcp(40000, 80), tcp(40000, 81), udp(40000, 80), udp(80, 81), protocol(47)];
const protocols = { tcp: 6, udp: 17, sctp: 132, echo: 1 } as const;

const protocolOf = (over: Transport): number => (over.kind === 'protocol' ? over.number : protocols[over.kind]);
const portOf = (over: Transport): number => ('to' in over ? over.to : 0);

const byName = (name: string): Party => everybody.find((party) => party.name === name)!;
const arbitraryName = fc.constantFrom(...everybody.map(({ name }) => name));

/** As {@link Rule}, with the peer's name: a counterexample can then be read. */
type NamedRule = Omit<Rule, 'peer'> & { readonly peer?: string };
interface NamedPolicy {
  readonly ingress?: readonly NamedRule[];
  readonly egress?: readonly NamedRule[];
}

const arbitraryL4 = fc.constantFrom<{ protocol?: number; port?: number }>(
  {},
  ...[6, 17, 47].map((number) => ({ protocol: number })),
  ...[80, 81].flatMap((port) => [6, 17].map((number) => ({ protocol: number, port }))),
);
const arbitraryRule = fc
  .record(
    {
      peer: arbitraryName,
      l4: arbitraryL4,
      verdict: fc.constantFrom('allow' as const, 'redirect' as const, 'refuse' as const),
      ruleSet: fc.integer({ min: 1, max: 9 }),
      cookie: fc.integer({ min: 1, max: 1000 }),
    },
    { requiredKeys: ['l4', 'verdict', 'ruleSet', 'cookie'] },
  )
  .map(({ l4, ...rest }): NamedRule => ({ ...l4, ...rest }));

// A map has one entry for a key.
const keyOf = ({ peer, protocol: number, port }: NamedRule): string => `${peer}/${number}/${port}`;
const arbitraryRules = fc.uniqueArray(arbitraryRule, { maxLength: 8, selector: keyOf });
const arbitraryPolicy: fc.Arbitrary<NamedPolicy> = fc.record(
  { ingress: arbitraryRules, egress: arbitraryRules },
  { requiredKeys: [] },
);

const withPeers = (rules: readonly NamedRule[] | undefined): readonly Rule[] | undefined =>
  rules?.map(({ peer, ...rest }) => ({ ...rest, ...(peer === undefined ? {} : { peer: byName(peer) }) }));
const policyOf = ({ ingress, egress }: NamedPolicy): PolicyRules => ({
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
type Say = { readonly reason?: string; readonly ruleSet?: number; readonly cookie: number };

const matches = (rule: Rule, peer: Party, over: Transport): boolean =>
  (rule.peer === undefined || rule.peer.identity === peer.identity) &&
  (rule.protocol === undefined || rule.protocol === protocolOf(over)) &&
  (rule.port === undefined || rule.port === portOf(over));

/** A peer outweighs everything, then a port, then a protocol. */
const weight = (rule: Rule): number =>
  (rule.peer ? 4 : 0) + (rule.port === undefined ? 0 : 2) + (rule.protocol === undefined ? 0 : 1);

function say(rules: readonly Rule[] | undefined, peer: Party, over: Transport): Say {
  if (rules === undefined) return { cookie: 0 };
  const found = rules.filter((rule) => matches(rule, peer, over)).toSorted((a, b) => weight(b) - weight(a));
  const first = (verdict: Rule['verdict']) => found.find((rule) => rule.verdict === verdict);
  const [refusal, allowance, redirect] = [first('refuse'), first('allow'), first('redirect')];
  if (refusal) return { reason: 'policyDeny', cookie: refusal.cookie! };
  if (allowance) return { cookie: allowance.cookie! };
  if (!redirect) return { reason: 'policyDenied', cookie: 0 };
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
    const { from, to, over } = flow;
    const egress = say(policies.get(from)?.egress, to, over);
    const ingress = say(policies.get(to)?.ingress, from, over);
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
