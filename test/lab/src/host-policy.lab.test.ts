// SPDX-License-Identifier: Apache-2.0
// Policies for nodes: what the first of two nodes itself receives and sends. Pods and the other node are not touched.
import { describe, expect, it } from '@jest/globals';
import { expectFlows } from './testing/expect-flows.ts';
import { forge } from './testing/forge.ts';
import { fromEntities, fromPods, nobody, onPort, policy, toEntities, toPods, type Sections } from './testing/policy.ts';
import type { Connection, Listener } from './testing/puppet.ts';
import { expectTalking, expectTcpDropped, expectTcpEcho, openConnection } from './testing/reach.ts';
import { eventually, without } from './testing/services.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod, type TestLab } from './testing/use-lab.ts';

const [port, otherPort, plainPort] = [7000, 7001, 7002];
const denied = 'Policy denied';
const anyOn = (number: number) => onPort(number, 'ANY');

const nodePolicy = (sections: Sections, selected: object = { 'kubernetes.io/hostname': 'node1' }): object => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumClusterwideNetworkPolicy',
  metadata: { name: 'nodes' },
  spec: { nodeSelector: { matchLabels: selected }, ...sections },
});

interface Parties {
  readonly near: PlayedPod;
  readonly far: PlayedPod;
  readonly node1: PlayedHost;
  readonly node2: PlayedHost;
  readonly world: PlayedHost;
}

function useParties(
  topic: string,
  routing: 'direct' | 'overlay',
  more: readonly string[] = [],
): { test: TestLab; parties: () => Parties } {
  let parties: Parties | undefined;
  const setUp = async ({ pod, host }: TestLab): Promise<void> => {
    const [near, far, node1, node2, world] = await Promise.all([
      pod('near', { node: 'node1', labels: { app: 'near' } }),
      pod('far', { node: 'node2', labels: { app: 'far' } }),
      ...(['@node1', '@node2', '@world'] as const).map((each) => host(each)),
    ]);
    parties = { near, far, node1: node1!, node2: node2!, world: world! };
    const echoes = Object.values(parties).flatMap((each: PlayedPod | PlayedHost) =>
      [port, otherPort].map((number) => each.echo(number, [each.ipv4, each.ipv6])),
    );
    await Promise.all(echoes);
  };
  const agentArguments = ['--node-labels', 'pool=db', ...more];
  const test = useLab(topic, setUp, { nodeCount: 2, routing, agentArguments });
  return { test, parties: () => parties! };
}

describe.each(['direct', 'overlay'] as const)('a policy for a node, with routing "%s"', (routing) => {
  const { test, parties } = useParties(routing === 'direct' ? 'hostd' : 'hosto', routing);
  const expectOf = (flows: Readonly<Record<string, string>>) => expectFlows(test, Object.values(parties()), flows);

  it('lets in to it what it allows, and nothing else, and touches nobody else', async () => {
    const ingress = [
      { ...fromPods({ app: 'near' }), ...anyOn(port) },
      { ...fromPods({ app: 'far' }), ...anyOn(otherPort) },
      { ...fromEntities('remote-node'), ...anyOn(port) },
      { fromCIDR: ['172.31.0.2', 'fd00:172:31::2'], ...anyOn(otherPort) },
    ];
    await test.apply(nodePolicy({ ingress }));
    await expectOf({
      'near → @node1 TCP 7000': 'passes',
      'near → @node1 UDP 7000': 'passes',
      'near → @node1 TCP 7001': denied,
      'near → @node1 ICMP': denied,
      'far → @node1 TCP 7001': 'passes',
      'far → @node1 UDP 7001': 'passes',
      'far → @node1 TCP 7000': denied,
      'far → @node1 UDP 7000': denied,
      '@node2 → @node1 TCP 7000': 'passes',
      '@node2 → @node1 UDP 7000': 'passes',
      '@world → @node1 TCP 7001': 'passes',
      '@world → @node1 UDP 7001': 'passes',
      '@world → @node1 TCP 7000': denied,
      '@world → @node1 UDP 7000': denied,
      '@world → @node1 ICMP': denied,
      '@node1 → @world TCP 7000': 'passes',
      '@node1 → @node2 UDP 7000': 'passes',
      '@node1 → near TCP 7000': 'passes',
      '@node1 → far TCP 7000': 'passes',
      '@world → @node2 TCP 7000': 'passes',
      'near → far TCP 7000': 'passes',
      'near → @world TCP 7000': 'passes',
      '@world → near UDP 7000': 'passes',
    });
  });

  it('lets out of it what it allows, and nothing else', async () => {
    const egress = [
      { ...toPods({ app: 'near' }), ...anyOn(port) },
      { ...toPods({ app: 'far' }), ...anyOn(otherPort) },
      { ...toEntities('remote-node'), ...anyOn(port) },
      { ...toEntities('world'), ...anyOn(otherPort) },
    ];
    await test.apply(nodePolicy({ egress }));
    await expectOf({
      '@node1 → near TCP 7000': 'passes',
      '@node1 → near UDP 7001': denied,
      '@node1 → far TCP 7001': 'passes',
      '@node1 → far UDP 7001': 'passes',
      '@node1 → far TCP 7000': denied,
      '@node1 → @node2 TCP 7000': 'passes',
      '@node1 → @node2 TCP 7001': denied,
      '@node1 → @world TCP 7001': 'passes',
      '@node1 → @world UDP 7001': 'passes',
      '@node1 → @world TCP 7000': denied,
      '@node1 → @world UDP 7000': denied,
      '@node1 → @world ICMP': denied,
      '@world → @node1 TCP 7000': 'passes',
      'near → @node1 TCP 7000': 'passes',
      'far → @node1 UDP 7000': 'passes',
      'near → @world TCP 7000': 'passes',
    });
  });

  it('that lets nothing in or out leaves all that only passes the node alone', async () => {
    await test.apply(nodePolicy({ ingress: [nobody], egress: [nobody] }, { pool: 'db' }));
    await expectOf({
      'near → far TCP 7000': 'passes',
      'far → near UDP 7000': 'passes',
      'near → far ICMP': 'passes',
      'near → @world TCP 7000': 'passes',
      '@world → near UDP 7000': 'passes',
      '@world → far TCP 7000': 'passes',
      '@node1 → @world TCP 7000': denied,
      '@world → @node1 TCP 7000': denied,
      'near → @node1 UDP 7000': denied,
      '@node1 → near UDP 7000': denied,
    });
  });
});

describe('a policy for a node', () => {
  const { test, parties } = useParties('hostp', 'direct');
  const closed = nodePolicy({ ingress: [nobody], egress: [nobody] });

  /** A connection, heard in both directions, between the node and each who may talk with it. */
  async function connections(family: Family, listener: Listener): Promise<[Connection, Connection][]> {
    const { near, far, node1, world } = parties();
    const target = { address: node1[family], port: plainPort };
    const open: [Connection, Connection][] = [];
    for (const from of [near, far, world]) {
      const { client, server } = await openConnection(from, { listener, target });
      await expectTalking(client, server);
      open.push([client, server]);
    }
    const outside = await world.listen(plainPort);
    const outwards = await openConnection(node1, {
      listener: outside,
      target: { address: world[family], port: plainPort },
    });
    await expectTalking(outwards.client, outwards.server);
    await outside.close();
    return [...open, [outwards.client, outwards.server]];
  }

  it.each(families)(
    'cuts what is open when it comes, names itself, and heals it when it goes, over %s',
    async (family) => {
      const listener = await parties().node1.listen(plainPort);
      const open = await connections(family, listener);
      await test.apply(closed);
      for (const [client, server] of open) {
        const since = test.events.mark();
        await client.send('secret');
        const drop = await test.events.find(since, {
          type: 'drop',
          sourcePort: client.localPort,
          port: server.localPort,
        });
        expect(drop).toMatchObject({ reason: denied, policies: ['nodes'] });
        await expect(server.receive(6, 250)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
      }
      await test.delete(closed);
      for (const [, server] of open) expect(await server.receive(6, 20_000)).toBe('secret');
      for (const end of open.flat()) await end.close();
      await listener.close();
    },
  );

  it('is about a link-local address of the node, too', async () => {
    const { world } = parties();
    const [own, neighbours] = ['169.254.7.7', '169.254.7.8'];
    await test.lab.exec('@node1', ['ip', 'address', 'add', `${own}/16`, 'dev', 'eth0', 'scope', 'link']);
    await test.lab.exec('@world', ['ip', 'address', 'add', `${neighbours}/16`, 'dev', 'eth0', 'scope', 'link']);
    await expectTcpEcho(world, { address: own, port });
    await test.apply(closed);
    const agent = test.lab.agent();
    await eventually('the address is known to be the host’s', async () =>
      (await agent.listIpcache({})).entries.some(({ prefix, identity }) => prefix === `${own}/32` && identity === 1),
    ).finally(() => agent.close());
    const since = test.events.mark();
    await expect(world.connect({ address: own, port }, 500)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    await test.events.find(since, { type: 'drop', to: '@node1', address: own, port, policies: 'nodes' });
  });

  it.each(families)('is about packets with a priority tag, too, over %s', async (family) => {
    const { node1, world } = parties();
    const { stdout } = await test.lab.exec('@node1', ['ip', '-brief', 'link', 'show', 'eth0']);
    const [destinationMac = ''] = /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(stdout) ?? [];
    await test.apply(closed);
    const since = test.events.mark();
    const ends = { source: world[family], destination: node1[family], port };
    await forge(test.lab, '@world', { ...ends, destinationMac, priorityTag: true });
    await test.events.find(since, { type: 'drop', to: '@node1', address: ends.destination, port, policies: 'nodes' });
  });

  it('holds while the agent is dead, and when it is back', async () => {
    const { near, node1, world } = parties();
    await test.apply(nodePolicy({ ingress: [{ ...fromPods({ app: 'near' }), ...anyOn(port) }] }));
    const holds = async (): Promise<void> => {
      for (const family of families) {
        await expectTcpEcho(near, { address: node1[family], port });
        const refused = world.connect({ address: node1[family], port }, 500);
        await expect(refused).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
      }
    };
    await holds();
    await without(test.lab, ['node1/agent'], holds);
    await test.logEventsAnew();
    await holds();
    await expectTcpDropped(test, { client: world, target: { address: node1.ipv4, port }, reason: denied });
    await test.lab.deletePolicy({ all: true });
    await expectTcpEcho(world, { address: node1.ipv4, port });
  });

  it('shows in the status of the node, and in what becomes of a flow', async () => {
    await test.apply(nodePolicy({ ingress: [{ ...fromEntities('world'), ...onPort(port) }] }));
    const agent = test.lab.agent();
    try {
      const { components } = await agent.getStatus({});
      expect(components.find(({ name }) => name === 'host-policy')).toMatchObject({
        ...{ state: 'Ok', message: 'ingress of this node by nodes' },
      });
      const ask = (source: string) =>
        agent.tracePolicy({ source, destination: parties().node1.ipv4, protocol: 6, port });
      expect(await ask(parties().world.ipv4)).toMatchObject({ verdict: 'allowed' });
      expect(await ask('default/near')).toMatchObject({
        verdict: 'dropped',
        ingress: { defaultDenyBy: ['CiliumClusterwideNetworkPolicy//nodes'] },
      });
    } finally {
      agent.close();
    }
  });
});

describe('--node-audit-mode', () => {
  const { test, parties } = useParties('hosta', 'direct', ['--node-audit-mode']);

  it('lets through what is denied the node, says so, and holds pods to their policies', async () => {
    const since = test.events.mark();
    const pod = policy('pod', { app: 'near' }, { ingress: [nobody] });
    await test.apply(nodePolicy({ ingress: [nobody], egress: [nobody] }), pod);
    await expectFlows(test, Object.values(parties()), {
      '@world → @node1 TCP 7000': 'passes',
      '@node1 → @world UDP 7000': 'passes',
      'near → @node1 TCP 7000': 'passes',
      '@world → near TCP 7000': denied,
    });
    const audited = { type: 'policy-verdict', verdict: 'audited', policies: 'nodes' } as const;
    for (const flow of [
      { from: '@world', to: '@node1' },
      { from: '@node1', to: '@world' },
      { from: 'near', to: '@node1' },
    ]) {
      expect(await test.events.find(since, { ...audited, ...flow })).toMatchObject({ reason: denied });
    }
  });
});
