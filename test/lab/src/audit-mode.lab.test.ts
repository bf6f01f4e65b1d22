// SPDX-License-Identifier: Apache-2.0
// Audit mode: what policy denies passes, and is reported as audited, never as forwarded; of one pod, and of a node.
import { describe, expect, it } from '@jest/globals';
import { expectFlows } from './testing/expect-flows.ts';
import { nobody, onPort, policy } from './testing/policy.ts';
import { without } from './testing/services.ts';
import { useLab, type PlayedHost, type PlayedPod, type TestLab } from './testing/use-lab.ts';

const isA = { app: 'a' };
const closed = policy('closed', isA, { ingress: [nobody] });

function useParties(topic: string, agentArguments: readonly string[]): [TestLab, (PlayedPod | PlayedHost)[]] {
  const parties: (PlayedPod | PlayedHost)[] = [];
  const setUp = async ({ pod, host }: TestLab): Promise<void> => {
    parties.push(...(await Promise.all(['a', 'b'].map((name) => pod(name, { labels: { app: name } })))));
    parties.push(await host('@world'));
    await Promise.all(parties.map((each) => each.echo(7000, [each.ipv4, each.ipv6])));
  };
  return [useLab(topic, setUp, { agentArguments }), parties];
}

/** Everything passes to a, each flow is reported as what it would have been, and none as forwarded. */
async function expectAudited(test: TestLab, parties: readonly (PlayedPod | PlayedHost)[]): Promise<void> {
  const since = test.events.mark();
  await expectFlows(test, parties, {
    'b → a TCP 7000': 'passes',
    '@world → a UDP 7000': 'passes',
    'b → a ICMP': 'passes',
  });
  for (const protocol of ['TCP', 'ICMP', 'ICMPv6']) {
    const audited = { type: 'policy-verdict', from: 'b', to: 'a', protocol } as const;
    const event = await test.events.find(since, { ...audited, verdict: 'audited', policies: 'default/closed' });
    expect(event).toMatchObject({ reason: 'Policy denied', direction: 'ingress' });
    expect(test.events.all(since, { from: 'b', to: 'a', protocol, verdict: 'forwarded' })).toEqual([]);
  }
}

describe('audit mode of a pod', () => {
  const [test, parties] = useParties('audit', []);
  const setAudit = async (audit: 'on' | 'off'): Promise<void> => {
    const agent = test.lab.agent();
    await agent.patchEndpointConfig({ endpoint: { reference: 'default/a' }, audit }).finally(() => agent.close());
  };

  it('lets through what its policy denies, says so, and ends when it is turned off', async () => {
    await test.apply(closed);
    await setAudit('on');
    await expectAudited(test, parties);
    await without(test.lab, ['node1/agent'], async () => undefined);
    await test.logEventsAnew();
    await expectAudited(test, parties);
    await setAudit('off');
    await expectFlows(test, parties, { 'b → a TCP 7000': 'Policy denied' });
  });

  it('is for that pod alone', async () => {
    await setAudit('on');
    await test.apply(policy('b', { app: 'b' }, { ingress: [nobody], egress: [onPort(7001)] }));
    await expectFlows(test, parties, { 'a → b TCP 7000': 'Policy denied', 'b → a TCP 7000': 'Policy denied' });
    await setAudit('off');
  });
});

describe('--policy-audit-mode', () => {
  const [test, parties] = useParties('auditall', ['--policy-audit-mode']);

  it('is for every pod of the node', async () => {
    await test.apply(closed);
    await expectAudited(test, parties);
  });
});
