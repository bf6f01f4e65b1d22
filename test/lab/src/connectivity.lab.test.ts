// SPDX-License-Identifier: Apache-2.0
// Without a policy everybody talks to everybody.
import { describe, expect, it } from '@jest/globals';
import { expectTcpEcho, expectUdpEcho, ping } from './testing/reach.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

let a: PlayedPod, b: PlayedPod, node: PlayedHost, world: PlayedHost;
const port = 7000;
const test = useLab('reach', async ({ pod, host }) => {
  [a, b, node, world] = await Promise.all([pod('a'), pod('b'), host('@node1'), host('@world')]);
  await Promise.all([a, b, node, world].map((each) => each.echo(port, [each.ipv4, each.ipv6])));
});

describe.each(families)('without a policy, over %s', (family) => {
  const named = (name: string): PlayedPod | PlayedHost => [a, b, node, world].find((each) => each.name === name)!;

  it.each([
    ['a', 'b'],
    ['a', 'a'],
    ['a', '@node1'],
    ['@node1', 'a'],
    ['a', '@world'],
    ['@world', 'a'],
  ])('%s reaches %s over TCP, UDP and ICMP', async (from, to) => {
    const [client, server] = [named(from), named(to)];
    const target = { address: server[family], port };
    await expectTcpEcho(client, target);
    await expectUdpEcho(client, target);
    expect(await ping(test, from, server[family])).toBe(true);
  });

  it('a pod reaches the gateway that it sees, which is its node', async () => {
    const gateway = { ipv4: '10.244.1.1', ipv6: 'fd00:10:244:1::1' }[family];
    await expectTcpEcho(a, { address: gateway, port });
    expect(await ping(test, 'a', gateway)).toBe(true);
  });

  it.each(['b', '@node1', '@world'])(
    '%s sees the address of the pod that asks, outside that of its node',
    async (name) => {
      const server = named(name);
      const listener = await server.listen(7001);
      const [, { remoteAddress }] = await Promise.all([
        a.connect({ address: server[family], port: 7001 }),
        listener.accept(),
      ]);
      await listener.close();
      expect(remoteAddress).toBe((name === '@world' ? node : a)[family]);
    },
  );
});
