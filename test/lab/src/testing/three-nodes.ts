// SPDX-License-Identifier: Apache-2.0
// What holds between the pods of three nodes, however packets get from one to the other.
import { afterAll, describe, expect, it } from '@jest/globals';
import type { UpOptions } from '@weir/lab';
import { type EventLog, logEvents } from './events.ts';
import { authority, curl, httpServer } from './http.ts';
import { fromPods, onHttp, onPort, policy, toPods } from './policy.ts';
import { expectTcpEcho, expectUdpEcho, openConnection, ping } from './reach.ts';
import { eventually } from './services.ts';
import { families, type PlayedHost, type PlayedPod, type TestLab, useLab } from './use-lab.ts';

const [port, httpPort] = [7000, 8080];
const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const nodes = ['node1', 'node2', 'node3'] as const;
const times = ['--lease=4s', '--gc-grace=4s', '--reuse-delay=4s'];
const silenceMs = 300;

/** A lab of three nodes with a pod on each: a client, a server and another one; and the processes of their hosts. */
interface ThreeNodes extends TestLab {
  readonly at: Readonly<Record<(typeof nodes)[number], PlayedPod>>;
  readonly hosts: Readonly<Record<(typeof nodes)[number], PlayedHost>>;
  /** What the server's node reports. */
  readonly serverEvents: EventLog;
}

function useThreeNodes(topic: string, options: UpOptions): ThreeNodes {
  const at: Partial<Record<(typeof nodes)[number], PlayedPod>> = {};
  const hosts: Partial<Record<(typeof nodes)[number], PlayedHost>> = {};
  let serverEvents: EventLog | undefined;
  const test = useLab(
    topic,
    async ({ pod, host, lab }) => {
      at.node1 = await pod('client', { node: 'node1', labels: isClient });
      at.node2 = await pod('server', { node: 'node2', labels: isServer, ...httpServer(httpPort) });
      at.node3 = await pod('other', { node: 'node3', labels: { app: 'other' } });
      for (const node of nodes) hosts[node] = await host(`@${node}`);
      for (const each of [...Object.values(at), ...Object.values(hosts)]) await each.echo(port, [each.ipv4, each.ipv6]);
      serverEvents = await logEvents(lab, 'node2');
    },
    { nodeCount: 3, allocatorArguments: times, ...options },
  );
  afterAll(() => serverEvents?.stop());
  return Object.defineProperties({ at, hosts } as ThreeNodes, {
    ...Object.getOwnPropertyDescriptors(test),
    serverEvents: { get: () => serverEvents },
  });
}

const pairs = nodes.flatMap((from) => nodes.flatMap((to) => (from === to ? [] : [[from, to] as const])));

function testReachability(test: ThreeNodes): void {
  describe.each(families)('without a policy, over %s', (family) => {
    it.each(pairs)('a pod of %s reaches one of %s over TCP, UDP and ICMP', async (from, to) => {
      const target = { address: test.at[to][family], port };
      await expectTcpEcho(test.at[from], target);
      await expectUdpEcho(test.at[from], target);
      expect(await ping(test, test.at[from].name, target.address)).toBe(true);
    });

    it('a pod and the host of another node reach each other', async () => {
      await expectTcpEcho(test.at.node1, { address: test.hosts.node2[family], port });
      await expectUdpEcho(test.at.node1, { address: test.hosts.node2[family], port });
      await expectTcpEcho(test.hosts.node2, { address: test.at.node1[family], port });
      const gateway = { ipv4: '10.244.2.1', ipv6: 'fd00:10:244:2::1' }[family];
      expect(await ping(test, test.at.node1.name, gateway)).toBe(true);
    });

    it('datagrams that need fragments arrive whole', async () => {
      const text = 'x'.repeat(4_000);
      expect(await test.at.node1.ask({ address: test.at.node2[family], port }, text)).toBe(text);
    });

    it('a megabyte arrives as it was sent, in both directions', async () => {
      const listener = await test.at.node2.listen(7001);
      const target = { address: test.at.node2[family], port: 7001 };
      const { client, server } = await openConnection(test.at.node1, { listener, target });
      const bytes = 1 << 20;
      const [there, arrived] = await Promise.all([client.pour(bytes), server.drain(bytes)]);
      const [back, returned] = await Promise.all([server.pour(bytes), client.drain(bytes)]);
      expect([arrived, returned]).toEqual([there, back]);
      await listener.close();
    });

    it('a packet as large as the interface takes gets through, and a larger one is refused where it is sent', async () => {
      const { stdout } = await test.lab.exec('client', ['ip', 'link', 'show', 'dev', 'eth0']);
      const mtu = Number(/ mtu (\d+) /.exec(stdout)?.[1]);
      const headers = { ipv4: 28, ipv6: 48 }[family];
      const pingOf = (bytes: number): ReturnType<typeof test.lab.exec> => {
        const size = String(bytes - headers);
        return test.lab.exec('client', ['ping', '-c1', '-W5', '-Mdo', '-s', size, test.at.node2[family]]);
      };
      expect(await pingOf(mtu)).toMatchObject({ status: 0 });
      expect((await pingOf(mtu + 1)).status).not.toBe(0);
    });
  });
}

function testPolicy(test: ThreeNodes): void {
  describe.each(families)('policy, over %s', (family) => {
    const target = () => ({ address: test.at.node2[family], port });

    it('on the receiver lets in who may, from whichever node, and nobody else', async () => {
      await test.apply(policy('server', isServer, { ingress: [{ ...fromPods(isClient), ...onPort(port) }] }));
      await expectTcpEcho(test.at.node1, target());
      const since = test.serverEvents.mark();
      await expect(test.at.node3.connect(target(), silenceMs)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
      const drop = await test.serverEvents.find(since, { type: 'drop', ...target(), reason: 'Policy denied' });
      const { identity, [family]: address } = test.at.node3;
      expect(drop.source).toMatchObject({ identity, address, namespace: 'default', pod: 'other' });
    });

    it('on the sender keeps it from other nodes, and lets answers in', async () => {
      await test.apply(policy('client', isClient, { egress: [toPods(isServer)], ingress: [{}] }));
      await expectTcpEcho(test.at.node1, target());
      const elsewhere = { address: test.at.node3[family], port };
      await expect(test.at.node1.connect(elsewhere, silenceMs)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
    });

    it('follows a pod that gets other labels', async () => {
      await test.apply(policy('server', isServer, { ingress: [fromPods({ app: 'client', role: 'admin' })] }));
      await expect(test.at.node1.connect(target(), silenceMs)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
      await test.lab.labelPod('client', { set: { role: 'admin' } });
      const listener = await test.at.node2.listen(7002);
      const open = await openConnection(test.at.node1, { listener, target: { ...target(), port: 7002 } });
      // And out again: what is open is cut when the label goes.
      await test.lab.labelPod('client', { remove: ['role'] });
      await open.client.send('too late');
      await expect(open.server.receive(1, silenceMs)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
      await listener.close();
    });

    const get = async (path: string): Promise<number> =>
      (await curl(test.lab, 'client', `http://${authority(test.at.node2[family], httpPort)}${path}`)).status;

    it('on HTTP is kept at the server, for clients of other nodes', async () => {
      await test.apply(
        policy('server', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(httpPort, { path: '/yes' }) }] }),
      );
      expect([await get('/yes'), await get('/no')]).toEqual([200, 403]);
    });

    it('on HTTP is kept at the client, for servers of other nodes', async () => {
      await test.apply(
        policy('client', isClient, { egress: [{ ...toPods(isServer), ...onHttp(httpPort, { path: '/yes' }) }] }),
      );
      expect([await get('/yes'), await get('/no')]).toEqual([200, 403]);
    });

    it('on HTTP is kept at both ends', async () => {
      await test.apply(
        policy('client', isClient, { egress: [{ ...toPods(isServer), ...onHttp(httpPort, { path: '/(yes|no)' }) }] }),
        policy('server', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(httpPort, { path: '/yes' }) }] }),
      );
      expect([await get('/yes'), await get('/no'), await get('/never')]).toEqual([200, 403, 403]);
    });
  });
}

/** The pod range of the third node: whether there is a route to it here, and whom its pod is known as. */
async function whatNode1Knows(test: ThreeNodes): Promise<{ nodes: string[]; routes: number; identity: number }> {
  const agent = test.lab.agent('node1');
  try {
    const { nodes: known } = await agent.listNodes({});
    const { entries } = await agent.listIpcache({});
    const { stdout } = await test.lab.exec('@node1', ['sh', '-c', 'ip route; ip -6 route']);
    return {
      nodes: known.map(({ name }) => name ?? ''),
      routes: stdout.split('\n').filter((line) => /^(10\.244\.3\.0\/24|fd00:10:244:3::\/64) /.test(line)).length,
      identity: entries.find(({ prefix }) => prefix === `${test.at.node3.ipv4}/32`)?.identity ?? 0,
    };
  } finally {
    agent.close();
  }
}

/** Gives the third node other addresses than the ones it had. */
async function renumber(
  test: ThreeNodes,
  { ipv4, ipv6 }: { readonly ipv4: string; readonly ipv6: string },
): Promise<void> {
  const change = [
    // The lab has told the agent to serve flows at the address that it had.
    'echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind',
    'ip address flush dev eth0 scope global',
    `ip address add ${ipv4}/24 dev eth0`,
    `ip address add ${ipv6}/64 dev eth0 nodad`,
    'ip route replace default via 172.31.0.2',
    'ip -6 route replace default via fd00:172:31::2',
  ];
  expect(await test.lab.exec('@node3', ['sh', '-ec', change.join('; ')])).toMatchObject({ status: 0 });
}

function testNodesComingAndGoing(test: ThreeNodes): void {
  it('a node that dies is known until its lease is over and not longer, and is back with another address', async () => {
    const known = await whatNode1Knows(test);
    expect(known).toEqual({ nodes: [...nodes], routes: 2, identity: test.at.node3.identity });
    const listener = await test.at.node2.listen(7003);
    const target = { address: test.at.node2.ipv4, port: 7003 };
    const open = await openConnection(test.at.node1, { listener, target });

    await test.lab.stopService('node3/agent', 'SIGKILL');
    // What forwards is in the kernel: without its agent the node still works.
    await expectTcpEcho(test.at.node1, { address: test.at.node3.ipv4, port });
    expect(await whatNode1Knows(test)).toEqual(known);
    await eventually('the node is forgotten', async () => (await whatNode1Knows(test)).routes === 0 || undefined);
    expect(await whatNode1Knows(test)).toEqual({ nodes: ['node1', 'node2'], routes: 0, identity: 0 });
    await open.client.send('still there');
    expect(await open.server.receive(11)).toBe('still there');
    await listener.close();

    await renumber(test, { ipv4: '172.31.0.93', ipv6: 'fd00:172:31::93' });
    await test.lab.startService('node3/agent');
    await eventually('the node is known again', async () => {
      const { routes, identity } = await whatNode1Knows(test);
      return (routes === 2 && identity === test.at.node3.identity) || undefined;
    });
    for (const family of families) {
      await expectTcpEcho(test.at.node1, { address: test.at.node3[family], port });
      await expectTcpEcho(test.at.node3, { address: test.at.node2[family], port });
    }
    await test.lab.up();
  });
}

/** Registers all of it for one way of routing. `options` are what the lab is brought up with. */
export function testThreeNodes(topic: string, options: UpOptions): ThreeNodes {
  const test = useThreeNodes(topic, options);
  testReachability(test);
  testPolicy(test);
  testNodesComingAndGoing(test);
  return test;
}
