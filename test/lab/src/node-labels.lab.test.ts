// SPDX-License-Identifier: Apache-2.0
// Other nodes as peers by their labels, which nodes tell each other: what they themselves send and get, not their pods.
import { describe, expect, it } from '@jest/globals';
import { onPort, policy, type Rule } from './testing/policy.ts';
import { expectTalking, expectTcpEcho, openConnection } from './testing/reach.ts';
import { eventually, without } from './testing/services.ts';
import { families, type PlayedHost, type PlayedPod, type TestLab, useLab } from './testing/use-lab.ts';

const [port, plainPort] = [7000, 7001];
const isServer = { app: 'server' };
const nodeLabels = { node2: 'pool=db', node3: 'pool=web,zone=a' };
const silenceMs = 250;

const fromNodes = (labels: Readonly<Record<string, string>>): Rule => ({ fromNodes: [{ matchLabels: labels }] });
const toNodes = (labels: Readonly<Record<string, string>>): Rule => ({ toNodes: [{ matchLabels: labels }] });

async function expectDropped(test: TestLab, from: PlayedHost | PlayedPod, to: { address: string; port: number }) {
  const since = test.events.mark();
  await expect(from.connect(to, silenceMs)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
  await test.events.find(since, { type: 'drop', ...to, reason: 'Policy denied' });
}

/** What the first node knows the others as. */
async function knownAs(test: TestLab): Promise<readonly number[]> {
  const agent = test.lab.agent();
  try {
    const { nodes } = await agent.listNodes({});
    return nodes.filter(({ isSelf }) => !isSelf).map(({ identity }) => identity ?? 0);
  } finally {
    agent.close();
  }
}

describe.each(['direct', 'overlay'] as const)('with routing "%s"', (routing) => {
  let server: PlayedPod, far: PlayedPod, db: PlayedHost, web: PlayedHost;
  const setUp = async ({ pod, host }: TestLab): Promise<void> => {
    [server, far, db, web] = await Promise.all([
      pod('server', { labels: isServer }),
      pod('far', { node: 'node2', labels: { app: 'far' } }),
      host('@node2'),
      host('@node3'),
    ]);
    for (const each of [server, db, web]) await each.echo(port, [each.ipv4, each.ipv6]);
  };
  const test = useLab(`nl${routing[0] ?? ''}`, setUp, { nodeCount: 3, routing, nodeLabels });

  it('nodes are known by their labels, and are told apart as long as a policy does so', async () => {
    const agent = test.lab.agent();
    const { nodes } = await agent.listNodes({}).finally(() => agent.close());
    expect(nodes.map(({ labels }) => labels)).toEqual([
      ['kubernetes.io/hostname=node1'],
      ['kubernetes.io/hostname=node2', 'pool=db'],
      ['kubernetes.io/hostname=node3', 'pool=web', 'zone=a'],
    ]);
    expect(await knownAs(test)).toEqual([6, 6]);
    const byPool = policy('in', isServer, { ingress: [fromNodes({ pool: 'db' })] });
    await test.apply(byPool);
    expect(new Set([6, ...(await knownAs(test))]).size).toBe(3);
    await test.delete(byPool);
    expect(await knownAs(test)).toEqual([6, 6]);
  });

  describe.each(families)('over %s', (family) => {
    const at = (to: PlayedHost | PlayedPod): { address: string; port: number } => ({ address: to[family], port });

    it('lets in the nodes that have the labels, not their pods, and no other nodes', async () => {
      await test.apply(policy('in', isServer, { ingress: [{ ...fromNodes({ pool: 'db' }), ...onPort(port) }] }));
      await expectTcpEcho(db, at(server));
      await expectDropped(test, web, at(server));
      await expectDropped(test, far, at(server));
      await test.apply(policy('in', isServer, { ingress: [fromNodes({ 'kubernetes.io/hostname': 'node3' })] }));
      await expectTcpEcho(web, at(server));
      await expectDropped(test, db, at(server));
    });

    it('lets out to the nodes that have the labels, and to no others', async () => {
      await test.apply(policy('out', isServer, { egress: [{ ...toNodes({ zone: 'a' }), ...onPort(port) }] }));
      await expectTcpEcho(server, at(web));
      await expectDropped(test, server, at(db));
    });

    it('leaves open connections alone when nodes are told apart by something else', async () => {
      const byPool = policy('in', isServer, { ingress: [fromNodes({ pool: 'db' })] });
      const byZone = policy('more', isServer, { ingress: [fromNodes({ zone: 'a' })] });
      await test.apply(byPool);
      const listener = await server.listen(plainPort + families.indexOf(family));
      const target = { address: server[family], port: plainPort + families.indexOf(family) };
      const open = await openConnection(db, { listener, target });
      await test.apply(byZone);
      await expectTalking(open.client, open.server);
      await expectTcpEcho(web, at(server));
      await test.delete(byZone);
      await expectTalking(open.client, open.server);
      await expectDropped(test, web, at(server));
      await listener.close();
    });
  });

  it('is the same after a restart of the agent', async () => {
    await test.apply(policy('in', isServer, { ingress: [fromNodes({ pool: 'web' })] }));
    const before = await knownAs(test);
    await without(test.lab, ['node1/agent'], () => expectTcpEcho(web, { address: server.ipv4, port }));
    await test.logEventsAnew();
    await eventually('the other nodes are known', async () => (await knownAs(test)).length === 2 || undefined);
    expect(await knownAs(test)).toEqual(before);
    await expectTcpEcho(web, { address: server.ipv6, port });
    await expectDropped(test, db, { address: server.ipv4, port });
  });
});
