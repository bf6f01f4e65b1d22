// SPDX-License-Identifier: Apache-2.0
// What holds between the pods of three nodes, however packets get from one to the other.
import { afterAll, describe, expect, it } from '@jest/globals';
import type { UpOptions } from '@weir/lab';
import { type EventLog, logEvents } from './events.ts';
import { authority, curl, httpServer } from './http.ts';
import { fromPods, onHttp, onPort, policy, toPods } from './policy.ts';
import { testNodesComingAndGoing } from './nodes-come-and-go.ts';
import { expectTcpEcho, expectUdpEcho, openConnection, ping } from './reach.ts';
import { tapWire } from './wire-tap.ts';
import { families, type PlayedHost, type PlayedPod, type TestLab, useLab } from './use-lab.ts';

const [port, httpPort] = [7000, 8080];
const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
export const nodes = ['node1', 'node2', 'node3'] as const;
const times = ['--lease=4s', '--gc-grace=4s', '--reuse-delay=4s'];
const silenceMs = 300;

/** A lab of three nodes with a pod on each: a client, a server and another one; and the processes of their hosts. */
export interface ThreeNodes extends TestLab {
  readonly routing: 'direct' | 'overlay';
  readonly at: Readonly<Record<(typeof nodes)[number], PlayedPod>>;
  readonly hosts: Readonly<Record<(typeof nodes)[number], PlayedHost>>;
  /** What the server's node reports. */
  readonly serverEvents: EventLog;
}

function useThreeNodes(topic: string, options: UpOptions & Pick<ThreeNodes, 'routing'>): ThreeNodes {
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
  return Object.defineProperties({ at, hosts, routing: options.routing } as ThreeNodes, {
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

    it('a pod and the host of another node speak in the overlay, where there is one, both ways', async () => {
      const asking = 7100 + families.indexOf(family);
      const taps = [await tapWire(test.lab, '@node2', port), await tapWire(test.lab, '@node1', asking)];
      const socket = await test.at.node1.bind(asking);
      await socket.send({ address: test.hosts.node2[family], port }, 'who hears this?');
      expect((await socket.receive()).text).toBe('who hears this?');
      for (const tap of taps) {
        expect(Object.hasOwn(await tap.next(), 'outerTrafficClass')).toBe(test.routing === 'overlay');
        tap.close();
      }
      await socket.close();
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

/** Registers all of it for one way of routing. `options` are what the lab is brought up with. */
export function testThreeNodes(topic: string, options: UpOptions & Pick<ThreeNodes, 'routing'>): ThreeNodes {
  const test = useThreeNodes(topic, options);
  testReachability(test);
  testPolicy(test);
  testNodesComingAndGoing(test);
  return test;
}
