// SPDX-License-Identifier: Apache-2.0
// Two nodes in networks of their own, and a router between them whose links are narrower than theirs: nothing gets lost for
// being too big, and what packets say of congestion and of their class arrives.
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Lab } from '@weir/lab';
import { forge } from './testing/forge.ts';
import { authority, curl, httpServer } from './testing/http.ts';
import { onHttp, policy, toPods } from './testing/policy.ts';
import { openConnection } from './testing/reach.ts';
import { eventually } from './testing/services.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';
import { tapWire, type WireTap } from './testing/wire-tap.ts';

const [port, httpPort, tappedPort] = [7000, 8080, 7100];
const linkMtu = 1400;
const [isClient, isServer] = [{ app: 'client' }, { app: 'server' }];
const node2 = { ipv4: '172.31.9.12', ipv6: 'fd00:172:39::12' };
const kinds = [
  { topic: 'direct', title: 'direct routing', routing: 'direct', between: 'ipv4', wrapping: 0 },
  { topic: 'overlay', title: 'the overlay', routing: 'overlay', between: 'ipv4', wrapping: 50 },
  { topic: 'overlay6', title: 'the overlay, over IPv6', routing: 'overlay', between: 'ipv6', wrapping: 70 },
] as const;

/** Runs lines of shell on a target. */
async function run(lab: Lab, target: string, lines: readonly string[]): Promise<void> {
  const { status, stderr } = await lab.exec(target, ['sh', '-ec', lines.join('\n')]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
}

/** Puts the second node behind the router, which has narrow links to both; `between`: what the nodes have addresses of. */
async function separate(lab: Lab, between: Family): Promise<void> {
  const narrow = `mtu lock ${linkMtu}`;
  await run(lab, '@world', [
    'ip address add 172.31.9.2/24 dev eth0',
    'ip -6 address add fd00:172:39::2/64 dev eth0 nodad',
    `ip route replace 172.31.9.12/32 dev eth0 ${narrow}`,
    `ip route replace 172.31.0.11/32 dev eth0 ${narrow}`,
    `ip route replace 10.244.1.0/24 via 172.31.0.11 ${narrow}`,
    `ip route replace 10.244.2.0/24 via 172.31.9.12 ${narrow}`,
    `ip -6 route replace fd00:172:39::12/128 dev eth0 ${narrow}`,
    `ip -6 route replace fd00:172:31::11/128 dev eth0 ${narrow}`,
    `ip -6 route replace fd00:10:244:1::/64 via fd00:172:31::11 ${narrow}`,
    `ip -6 route replace fd00:10:244:2::/64 via fd00:172:39::12 ${narrow}`,
  ]);
  await run(lab, '@node2', [
    'ip address flush dev eth0 scope global',
    'ip address add 172.31.9.12/24 dev eth0',
    'ip address add fd00:172:39::12/64 dev eth0 nodad',
    'ip route replace default via 172.31.9.2',
    'ip -6 route replace default via fd00:172:39::2',
  ]);
  if (between === 'ipv6')
    for (const node of ['@node1', '@node2']) await run(lab, node, ['ip -4 address flush dev eth0']);
  const addresses = [[between === 'ipv6' ? 'fd00:172:31::11' : '172.31.0.11'], [node2[between]]];
  for (const [index, other] of [1, 0].entries()) {
    const agent = lab.agent(`node${index + 1}`);
    await eventually(`node${index + 1} knows where the other one is now`, async () => {
      const { nodes } = await agent.listNodes({});
      const found = nodes.find(({ isSelf }) => !isSelf);
      const isThere = addresses[other]!.every((address) => found?.addresses?.includes(address));
      const has4 = found?.addresses?.some((address) => address.startsWith('172.'));
      return isThere && (between === 'ipv4' || !has4);
    });
    agent.close();
  }
}

describe.each(kinds)('with $title', ({ topic, routing, between, wrapping }) => {
  const pathMtu = linkMtu - wrapping;
  let client: PlayedPod, server: PlayedPod, host: PlayedHost;
  const test = useLab(
    `path${topic}`,
    async ({ pod, host: play, lab }) => {
      await separate(lab, between);
      client = await pod('client', { node: 'node1', labels: isClient });
      server = await pod('server', { node: 'node2', labels: isServer, ...httpServer(httpPort) });
      host = await play('@node1');
      await server.echo(port, [server.ipv4, server.ipv6]);
    },
    { nodeCount: 2, routing },
  );

  describe.each(families)('on the narrow path, over %s', (family) => {
    // Each test finds out by itself how narrow it is, and so do the nodes.
    beforeEach(async () => {
      const forget = ['ip route flush cache', 'ip -6 route flush cache'];
      for (const target of ['client', 'server', '@node1', '@node2']) await run(test.lab, target, forget);
    });

    it.each(['a pod', 'the host'])('a megabyte of %s arrives as it was sent, in both directions', async (from) => {
      const listener = await server.listen(7001);
      const target = { address: server[family], port: 7001 };
      const open = await openConnection(from === 'a pod' ? client : host, { listener, target });
      const bytes = 1 << 20;
      const [there, arrived] = await Promise.all([open.client.pour(bytes), open.server.drain(bytes)]);
      const [back, returned] = await Promise.all([open.server.pour(bytes), open.client.drain(bytes)]);
      expect([arrived, returned]).toEqual([there, back]);
      await listener.close();
    });

    it('a packet that is too big and must not be cut up is told how much fits, and what fits arrives', async () => {
      const headers = { ipv4: 28, ipv6: 48 }[family];
      const pingOf = async (bytes: number, patienceS: number): Promise<string> => {
        const size = String(bytes - headers);
        const { stdout, stderr } = await test.lab.exec('client', [
          ...(['ping', '-c1', `-W${patienceS}`, '-Mdo', '-s', size, server[family]] as const),
        ]);
        return stdout + stderr;
      };
      const told = await eventually('the pod is told', async () => /mtu ?[=:] ?(\d+)/.exec(await pingOf(1430, 1))?.[1]);
      expect(Number(told)).toBe(pathMtu);
      expect(await pingOf(pathMtu, 10)).toContain(' 0% packet loss');
    });

    it.each([1_400, 4_000])('datagrams of %d bytes arrive, once their sender knows the path', async (bytes) => {
      const text = 'x'.repeat(bytes);
      const echoed = await eventually('it is echoed', () =>
        client.ask({ address: server[family], port }, text, 200).catch(() => undefined),
      );
      expect(echoed).toBe(text);
    });

    it('what the proxy sends for a pod arrives', async () => {
      const rule = { ...toPods(isServer), ...onHttp(httpPort, { method: 'POST' }) };
      await test.apply(policy('client', isClient, { egress: [rule] }));
      const url = `http://${authority(server[family], httpPort)}/checksum`;
      const answer = await curl(test.lab, 'client', '-d', 'x'.repeat(100_000), url);
      expect(answer.status).toBe(200);
    });
  });

  // What a packet is wrapped in does not ask of which family that is.
  const few = between === 'ipv6' ? (['ipv4'] as const) : families;
  describe.each(few)('what a packet says of its class and of congestion, over %s', (family) => {
    const taps: WireTap[] = [];
    const tap = async (target: string): Promise<WireTap> => {
      const made = await tapWire(test.lab, target, tappedPort);
      taps.push(made);
      return made;
    };
    afterAll(() => taps.forEach((each) => each.close()));
    const datagram = (trafficClass: number) => ({
      ...{ source: client[family], destination: server[family], port: tappedPort, trafficClass },
    });

    it('arrives as it was sent, and is the same outside of what it is wrapped in', async () => {
      const [atServer, onWire] = [await tap('server'), await tap('@node2')];
      // Expedited forwarding (RFC 3246): without ECN, with it, and when it has met congestion (RFC 3168).
      for (const trafficClass of [0xb8, 0xba, 0xbb]) {
        await forge(test.lab, 'client', datagram(trafficClass));
        expect(await atServer.next()).toEqual({ trafficClass });
        // Linux wraps what has met congestion as RFC 3168 9.1.1 has it: as capable, since it is marked inside already.
        const outerTrafficClass = trafficClass === 0xbb ? 0xba : trafficClass;
        expect(await onWire.next()).toEqual({ trafficClass, ...(routing === 'overlay' && { outerTrafficClass }) });
      }
    });

    if (routing === 'direct') return;
    it('hears of congestion outside, as RFC 6040 has it', async () => {
      const atServer = await tap('server');
      const arrives = async (inner: number, outer: number): Promise<void> => {
        const tunnel = { node: node2[between], identity: client.identity, trafficClass: outer };
        await forge(test.lab, '@node1', { ...datagram(inner), tunnel });
      };
      const [capable0, capable1, congested] = [2, 1, 3];
      for (const [inner, outer, expected] of [
        [0xb8 | capable0, congested, 0xb8 | congested],
        [0xb8 | capable1, congested, 0xb8 | congested],
        [0xb8 | congested, capable0, 0xb8 | congested],
        [0xb8 | capable0, 0x28, 0xb8 | capable0],
      ] as const) {
        await arrives(inner, outer);
        expect([inner, outer, (await atServer.next()).trafficClass]).toEqual([inner, outer, expected]);
      }
      // Who would not understand the mark loses the packet instead: what arrives is the one behind it.
      await arrives(0x28, congested);
      await arrives(0x48, 0);
      expect(await atServer.next()).toEqual({ trafficClass: 0x48 });
    });
  });
});
