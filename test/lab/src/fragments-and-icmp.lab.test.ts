// SPDX-License-Identifier: Apache-2.0
// What large packets and lost ones need: fragments, path MTU, and the ICMP errors that belong to a flow.
import { afterEach, describe, expect, it } from '@jest/globals';
import { httpServer } from './testing/http.ts';
import { nobody, onHttp, onPort, policy, toEntities, type Rule } from './testing/policy.ts';
import { openConnection } from './testing/reach.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const isA = { app: 'a' };
const [openPort, closedPort, httpPort] = [7000, 7001, 8080];
const [lanMtu, podMtu, farMtu] = [1500, 1400, 1300];
const gateway = { ipv4: '10.244.1.1', ipv6: 'fd00:10:244:1::1' };
const big = 'x'.repeat(4_000);

let a: PlayedPod, b: PlayedPod, node: PlayedHost, world: PlayedHost;
const test = useLab(
  'icmp',
  async ({ pod, host, lab }) => {
    [a, b, node, world] = await Promise.all([
      pod('a', { labels: isA, ...httpServer(httpPort) }),
      pod('b', { labels: { app: 'b' } }),
      host('@node1'),
      host('@world'),
    ]);
    const { command } = httpServer(httpPort);
    await lab.spawn('@world', command, { stdio: 'inherit', env: { PATH: process.env.PATH, NODE_OPTIONS: '' } });
    await Promise.all([a, b, node, world].map((each) => each.echo(openPort, [each.ipv4, each.ipv6])));
  },
  { agentArguments: [`--mtu=${podMtu}`] },
);
const party = (name: string): PlayedPod | PlayedHost => [a, b, node, world].find((each) => each.name === name)!;

/** Makes the way from the node to the world narrower than the pods know, until the test is over. */
async function narrowTheWay(): Promise<void> {
  for (const family of families) {
    const { stderr } = await test.lab.exec('@node1', routeToWorld(family, 'replace', 'mtu', 'lock', String(farMtu)));
    expect(stderr).toBe('');
  }
}
const routeToWorld = (family: Family, verb: string, ...metrics: string[]): [string, ...string[]] => {
  const route = ['route', verb, world[family], 'dev', 'eth0', ...metrics];
  return ['ip', { ipv4: '-4', ipv6: '-6' }[family], ...route];
};
afterEach(async () => {
  for (const family of families) {
    await test.lab.exec('@node1', routeToWorld(family, 'delete'));
    // What the pod has learnt of the narrow way.
    await test.lab.exec('a', ['ip', { ipv4: '-4', ipv6: '-6' }[family], 'route', 'flush', 'cache']);
  }
});

const pairs = [
  ['b', 'a'],
  ['@node1', 'a'],
  ['@world', 'a'],
  ['a', 'b'],
  ['a', '@node1'],
  ['a', '@world'],
] as const;

describe.each(families)('over %s', (family) => {
  const addressOf = (name: string): string => party(name)[family];
  const ping = async (from: string, ...args: string[]): Promise<string> => {
    const { stdout, stderr } = await test.lab.exec(from, ['ping', '-c', '1', '-W', '5', ...args]);
    return stdout + stderr;
  };

  describe('a datagram in fragments', () => {
    it.each(pairs)('goes from %s to %s and back without a policy', async (from, to) => {
      expect(await party(from).ask({ address: addressOf(to), port: openPort }, big)).toBe(big);
    });

    const rules: Record<string, (rule: Rule) => object> = {
      ingress: (rule) => policy('port', isA, { ingress: [rule] }),
      egress: (rule) => policy('port', isA, { egress: [rule] }),
    };
    it.each([
      ['ingress', 'b', 'a'],
      ['ingress', '@world', 'a'],
      ['egress', 'a', 'b'],
      ['egress', 'a', '@world'],
    ])('is judged as a whole by the port: %s policy, %s to %s', async (direction, from, to) => {
      const target = { address: addressOf(to), port: openPort };
      await test.apply(rules[direction]!(onPort(openPort, 'UDP')));
      expect(await party(from).ask(target, big)).toBe(big);
      await test.apply(rules[direction]!(onPort(closedPort, 'UDP')));
      const since = test.events.mark();
      await expect(party(from).ask(target, big, 300)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
      await test.events.find(since, { type: 'drop', address: addressOf(to), reason: 'Policy denied', port: openPort });
    });

    it.each([...pairs].filter(([from]) => from !== '@node1'))(
      'of an echo comes from %s to %s and back',
      async (from, to) => {
        expect(await ping(from, '-s', '4000', addressOf(to))).toContain('1 received');
      },
    );
  });

  describe('a way that is narrower than the pod knows', () => {
    it('is told to the pod', async () => {
      await narrowTheWay();
      const text = await ping('a', '-M', 'do', '-s', String(podMtu - 60), world[family]);
      expect(text).toMatch({ ipv4: /Frag needed and DF set \(mtu = 1300\)/, ipv6: /Packet too big: mtu=1300/ }[family]);
    });

    it('is told to the pod also when its policy lets nobody in', async () => {
      await test.apply(policy('closed', isA, { ingress: [nobody] }));
      await narrowTheWay();
      const text = await ping('a', '-M', 'do', '-s', String(podMtu - 60), world[family]);
      expect(text).toContain('mtu');
      expect(text).toContain('1300');
    });

    it('carries a TCP transfer of 2 MB, of which no byte is lost', async () => {
      const listener = await world.listen(7100);
      const { client, server } = await openConnection(a, { listener, target: { address: world[family], port: 7100 } });
      await narrowTheWay();
      const [sent, received] = await Promise.all([client.pour(2_000_000), server.drain(2_000_000)]);
      expect(received).toBe(sent);
      await listener.close();
    });

    it('carries a request of 2 MB through the proxy', async () => {
      await narrowTheWay();
      await test.apply(
        policy('http', isA, { egress: [{ ...toEntities('world'), ...onHttp(httpPort, { path: '/checksum' }) }] }),
      );
      const url = `http://${family === 'ipv6' ? `[${world.ipv6}]` : world.ipv4}:${httpPort}`;
      const command = `head -c 2000000 /dev/zero | curl -sS --globoff --max-time 30 --data-binary @- ${url}/checksum`;
      const { stdout } = await test.lab.exec('a', ['sh', '-c', command]);
      const expected = await test.lab.exec('a', ['sh', '-c', 'head -c 2000000 /dev/zero | sha256sum']);
      expect(stdout.split(' ')[0]).toBe(expected.stdout.split(' ')[0]);
    });
  });

  it('frames as large as the LAN has them reach a pod with a smaller MTU', async () => {
    const headers = { ipv4: 28, ipv6: 48 }[family];
    expect(lanMtu).toBeGreaterThan(podMtu);
    const text = await ping('@world', '-M', 'do', '-s', String(lanMtu - headers), a[family]);
    expect(text).toContain('1 received');
  });

  describe('a packet whose way is too long', () => {
    it.each([
      ['b', 'the gateway'],
      ['@world', 'the gateway'],
    ])('to %s is answered by %s, also when the pod lets nobody in', async (to) => {
      await test.apply(policy('closed', isA, { ingress: [nobody] }));
      const text = await ping('a', '-t', '1', addressOf(to));
      expect(text).toMatch(/Time to live exceeded|Time exceeded: Hop limit/);
      expect(text).toContain(gateway[family]);
    });
  });

  describe('a port that nobody listens on', () => {
    it.each(pairs)('is told over UDP, from %s to %s', async (from, to) => {
      if (from === 'a') await test.apply(policy('closed', isA, { ingress: [nobody] }));
      const asking = party(from).ask({ address: addressOf(to), port: closedPort }, 'anybody there?');
      await expect(asking).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });

    it.each(pairs)('is told over TCP, from %s to %s', async (from, to) => {
      if (from === 'a') await test.apply(policy('closed', isA, { ingress: [nobody] }));
      const connecting = party(from).connect({ address: addressOf(to), port: closedPort });
      await expect(connecting).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });
  });
});
