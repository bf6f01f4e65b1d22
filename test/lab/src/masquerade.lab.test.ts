// SPDX-License-Identifier: Apache-2.0
// What pods say to a server outside, which knows no way to pods: it talks to their nodes.
import { describe, expect, it } from '@jest/globals';
import { authority, curl, httpServer } from './testing/http.ts';
import { onHttp, onPort, policy, toEntities } from './testing/policy.ts';
import {
  expectTalking,
  expectTcpDropped,
  expectTcpEcho,
  expectUdpEcho,
  openConnection,
  ping,
} from './testing/reach.ts';
import { eventually, without } from './testing/services.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';
import { weirJson } from './testing/weir.ts';

const isClient = { app: 'client' };
const [echoPort, port, closedPort, httpPort] = [7000, 7001, 7002, 8080];
const ports = { first: 10_240, last: 29_999 };
const excluded = { ipv4: '198.51.100.7', ipv6: 'fd00:51::7' };
const far = { ipv4: '203.0.113.9', ipv6: 'fd00:113::9' };
const farMtu = 1300;
const node1 = { ipv4: '172.31.0.11', ipv6: 'fd00:172:31::11' };
const node2 = { ipv4: '172.31.0.12', ipv6: 'fd00:172:31::12' };

interface Flow {
  readonly pod: string;
  readonly node: string;
  readonly nodePort: number;
  readonly remote: string;
  readonly remotePort: number;
  readonly state: string;
}

/** What a server outside is like: it has no way back to pods, and behind it is a narrower network. */
const outside = [
  ...['10.244.1.0/24', '10.244.2.0/24'].map((range) => `ip route delete ${range}`),
  ...['fd00:10:244:1::/64', 'fd00:10:244:2::/64'].map((range) => `ip -6 route delete ${range}`),
  `ip address add ${excluded.ipv4}/32 dev lo`,
  `ip -6 address add ${excluded.ipv6}/128 dev lo nodad`,
  `ip link add far mtu ${farMtu} type veth peer name beyond`,
  'ip link set far up',
  `ip route add ${far.ipv4}/32 dev far`,
  `ip -6 route add ${far.ipv6}/128 dev far`,
];

describe.each(['direct', 'overlay'] as const)('with %s routing', (routing) => {
  let client: PlayedPod, other: PlayedPod, world: PlayedHost, node: PlayedHost;
  const test = useLab(
    `nat${routing}`,
    async ({ pod, host, lab }) => {
      [client, other, world, node] = await Promise.all([
        pod('client', { node: 'node1', labels: isClient }),
        pod('other', { node: 'node2', labels: { app: 'other' } }),
        host('@world'),
        host('@node2'),
      ]);
      expect(await lab.exec('@world', ['sh', '-ec', outside.join('\n')])).toMatchObject({ status: 0, stderr: '' });
      const { command } = httpServer(httpPort);
      await lab.spawn('@world', command, { stdio: 'inherit', env: { PATH: process.env.PATH, NODE_OPTIONS: '' } });
      await world.echo(echoPort, [world.ipv4, world.ipv6]);
    },
    { nodeCount: 2, routing, agentArguments: ['--masquerade-exclude', '198.51.100.0/24,fd00:51::/64'] },
  );
  const isMasqueraded = (given: number): boolean => given >= ports.first && given <= ports.last;

  describe.each(families)('over %s', (family: Family) => {
    const target = (at = port) => ({ address: world[family], port: at });

    it('the server sees the node, and they talk', async () => {
      const listener = await world.listen(port);
      for (const [from, address] of [
        [client, node1[family]],
        [other, node2[family]],
      ] as const) {
        const open = await openConnection(from, { listener, target: target() });
        expect(open.server.remoteAddress).toBe(address);
        expect(isMasqueraded(open.server.remotePort)).toBe(true);
        await expectTalking(open.client, open.server);
        const [sent, received] = await Promise.all([open.client.pour(1 << 20), open.server.drain(1 << 20)]);
        expect(received).toBe(sent);
        const [back, returned] = await Promise.all([open.server.pour(1 << 20), open.client.drain(1 << 20)]);
        expect(returned).toBe(back);
      }
      await listener.close();
    });

    it('datagrams and their answers pass, whole and in fragments, and echoes', async () => {
      const socket = await world.bind(port);
      const answer = client.ask(target(), 'who am I?');
      const { address, port: from } = await socket.receive();
      expect([address, isMasqueraded(from)]).toEqual([node1[family], true]);
      await socket.send({ address, port: from }, 'a node');
      expect(await answer).toBe('a node');
      await socket.close();
      const big = 'x'.repeat(4_000);
      expect(await client.ask(target(echoPort), big)).toBe(big);
      expect(await ping(test, 'client', world[family])).toBe(true);
      expect(await ping(test, 'other', world[family])).toBe(true);
    });

    it('what is said of a packet comes back to its pod: a closed port, a way that is too narrow', async () => {
      await expect(client.ask(target(closedPort), 'anybody?')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await expect(client.connect(target(closedPort))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      const { stdout, stderr } = await test.lab.exec('client', ['ping', '-c1', '-W5', '-Mdo', '-s1340', far[family]]);
      expect(stdout + stderr).toMatch(new RegExp(`mtu ?= ?${farMtu}`));
    });

    it('a range that is excluded sees the pod', async () => {
      const socket = await world.bind(port);
      const unanswered = client.ask({ address: excluded[family], port }, 'who am I?', 500).catch(() => undefined);
      expect(await socket.receive()).toMatchObject({ address: client[family] });
      await unanswered;
      await socket.close();
    });

    it('pods and nodes of the cluster see the pod', async () => {
      const listener = await other.listen(port);
      const open = await openConnection(client, { listener, target: { address: other[family], port } });
      expect(open.server.remoteAddress).toBe(client[family]);
      await listener.close();
      const atNode = await node.listen(port);
      const there = await openConnection(client, { listener: atNode, target: { address: node2[family], port } });
      expect(there.server.remoteAddress).toBe(client[family]);
      await atNode.close();
    });

    it('policy is about the pod and whom it calls', async () => {
      await test.apply(policy('client', isClient, { egress: [{ ...toEntities('world'), ...onPort(echoPort) }] }));
      await expectTcpEcho(client, target(echoPort));
      await expectTcpDropped(test, { client, target: target(httpPort) });
    });

    it('policy on HTTP holds, and the proxy calls in the node’s name', async () => {
      const rules = { ...toEntities('world'), ...onHttp(httpPort, { path: '/yes' }) };
      await test.apply(policy('client', isClient, { egress: [rules] }));
      const get = async (path: string): Promise<number> =>
        (await curl(test.lab, 'client', `http://${authority(world[family], httpPort)}${path}`)).status;
      expect([await get('/yes'), await get('/no')]).toEqual([200, 403]);
    });

    it('the kernel says which port is whose', async () => {
      const listener = await world.listen(port);
      const open = await openConnection(client, { listener, target: target() });
      await expectTalking(open.client, open.server);
      const flows = await weirJson<Flow[]>(test.lab, 'bpf', 'nat', 'list');
      expect(flows).toContainEqual(
        expect.objectContaining({
          ...{ pod: client[family], podPort: open.client.localPort, node: node1[family] },
          ...{ nodePort: open.server.remotePort, remote: world[family], remotePort: port, state: 'established' },
        }),
      );
      await listener.close();
    });

    it('goes on without the agent, and after it, over the same connection', async () => {
      const listener = await world.listen(port);
      const open = await openConnection(client, { listener, target: target() });
      await without(test.lab, ['node1/agent'], async () => {
        await expectTalking(open.client, open.server);
        await expectTcpEcho(client, target(echoPort));
        await expectUdpEcho(client, target(echoPort));
      });
      await test.logEventsAnew();
      await expectTalking(open.client, open.server);
      await listener.close();
    });
  });

  it('the server sees the new address of a node that gets another one', async () => {
    const change = (from: string, to: string): [string, ...string[]] => {
      const commands = [`ip address del ${from}/24 dev eth0`, `ip address add ${to}/24 dev eth0`];
      return ['sh', '-ec', [...commands, 'ip route replace default via 172.31.0.2'].join('\n')];
    };
    const seen = async (): Promise<string | undefined> => {
      const socket = await world.bind(port);
      client.ask({ address: world.ipv4, port }, 'who am I?', 1_000).catch(() => undefined);
      const datagram = await socket.receive(1_000).catch(() => undefined);
      await socket.close();
      return datagram?.address;
    };
    await test.lab.exec('@node1', change(node1.ipv4, '172.31.0.91'));
    await eventually('the new address is used', async () => (await seen()) === '172.31.0.91' || undefined);
    await test.lab.exec('@node1', change('172.31.0.91', node1.ipv4));
    await eventually('the old address is used', async () => (await seen()) === node1.ipv4 || undefined);
  });
});
