// SPDX-License-Identifier: Apache-2.0
// Whom policies hold for is a setting of the agent.
import { describe, it } from '@jest/globals';
import { expectFlows } from './testing/expect-flows.ts';
import { fromPods, nobody, policy, toEntities, toPods } from './testing/policy.ts';
import { useLab, type PlayedHost, type PlayedPod, type TestLab } from './testing/use-lab.ts';

const denied = 'Policy denied';

function useParties(topic: string, agentArguments: readonly string[]): [TestLab, (PlayedPod | PlayedHost)[]] {
  const parties: (PlayedPod | PlayedHost)[] = [];
  const setUp = async ({ pod, host }: TestLab): Promise<void> => {
    parties.push(...(await Promise.all([pod('a', { labels: { app: 'a' } }), pod('b', { labels: { app: 'b' } })])));
    parties.push(await host('@node1'));
    await Promise.all(parties.map((each) => each.echo(7000, [each.ipv4, each.ipv6])));
  };
  return [useLab(topic, setUp, { agentArguments }), parties];
}

describe('with --enable-policy=always', () => {
  const [test, parties] = useParties('always', ['--enable-policy=always']);

  it('nobody talks to anybody unless policies of both ends say so', async () => {
    await expectFlows(test, parties, {
      'a → b TCP 7000': denied,
      'a → b UDP 7000': denied,
      'a → b ICMP': denied,
      'a → @node1 TCP 7000': denied,
      '@node1 → a TCP 7000': denied,
      'a → a TCP 7000': 'passes',
    });
    await test.apply(policy('in', { app: 'b' }, { ingress: [fromPods({ app: 'a' })] }));
    await expectFlows(test, parties, { 'a → b TCP 7000': denied });
    await test.apply(policy('out', { app: 'a' }, { egress: [toPods({ app: 'b' }), toEntities('host')] }));
    await expectFlows(test, parties, {
      'a → b TCP 7000': 'passes',
      'b → a TCP 7000': denied,
      'a → @node1 TCP 7000': 'passes',
    });
  });
});

describe('with --enable-policy=never', () => {
  const [test, parties] = useParties('never', ['--enable-policy=never']);

  it('policies are taken and hold for nobody', async () => {
    await test.apply(policy('closed', {}, { ingress: [nobody], egress: [nobody] }));
    await expectFlows(test, parties, {
      'a → b TCP 7000': 'passes',
      'b → a ICMP': 'passes',
      'a → @node1 ICMP': 'passes',
    });
  });
});

describe('with --allow-localhost=always', () => {
  const [test, parties] = useParties('localhost', ['--allow-localhost=always']);

  it('the node reaches its pods whatever their ingress policy, unless that denies it', async () => {
    await test.apply(policy('in', { app: 'a' }, { ingress: [nobody] }));
    await expectFlows(test, parties, { '@node1 → a TCP 7000': 'passes', 'b → a TCP 7000': denied });
    await test.apply(policy('in', { app: 'a' }, { ingressDeny: [{ fromEntities: ['host'] }] }));
    await expectFlows(test, parties, {
      '@node1 → a TCP 7000': 'Policy denied by denylist',
      'b → a TCP 7000': denied,
    });
  });
});
