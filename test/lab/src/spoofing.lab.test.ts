// SPDX-License-Identifier: Apache-2.0
// Nobody is believed to be somebody else: neither a pod that makes up its packets, nor the network.
import { afterAll, describe, expect, it } from '@jest/globals';
import type { AgentClient } from '@weir/lab';
import { forge } from './testing/forge.ts';
import { nobody, policy } from './testing/policy.ts';
import { expectUdpEcho, ping } from './testing/reach.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const port = 7000;
const outside = { ipv4: '198.51.100.1', ipv6: '2001:db8::1' };
const node = { ipv4: '172.31.0.11', ipv6: 'fd00:172:31::11' };
const gateway = { ipv4: '10.244.1.1', ipv6: 'fd00:10:244:1::1' };
const loopback = { ipv4: '127.0.0.1', ipv6: '::1' };

let liar: PlayedPod, victim: PlayedPod, server: PlayedPod;
let agent: AgentClient, node1: PlayedHost;
const test = useLab('spoof', async ({ pod, host, lab }) => {
  [liar, victim, server, node1] = await Promise.all([pod('liar'), pod('victim'), pod('server'), host('@node1')]);
  await server.echo(port, [server.ipv4, server.ipv6]);
  agent = lab.agent();
});
afterAll(() => agent.close());

async function dropCount(reason: string): Promise<number> {
  const { metrics } = await agent.listDatapathMetrics({});
  return metrics.filter((metric) => metric.reason === reason).reduce((sum, { packets }) => sum + Number(packets), 0);
}

/** Expects that what is done next is dropped and counted for a reason, and that the server hears nothing of it. */
async function expectCounted(reason: string, attempt: () => Promise<unknown>): Promise<void> {
  const socket = await server.bind(port + 1);
  const [before, since] = [await dropCount(reason), test.events.mark()];
  try {
    await attempt();
    await test.events.find(since, { type: 'drop', reason });
    expect(await dropCount(reason)).toBeGreaterThan(before);
    await expect(socket.receive(100)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
  } finally {
    await socket.close();
  }
}

describe.each(families)('over %s', (family) => {
  const claims = { 'another pod': () => victim[family], 'the world': () => outside[family] };
  const hosts = {
    'its node': () => node[family],
    'its gateway': () => gateway[family],
    loopback: () => loopback[family],
  };

  it.each(Object.entries({ ...claims, ...hosts }))('a pod that says it is %s is not believed', async (_, source) => {
    const datagram = { source: source(), destination: server[family], port: port + 1 };
    await expectCounted('Invalid source IP', () => forge(test.lab, 'liar', datagram));
  });

  it('a pod that has given itself another address is not believed', async () => {
    const mask = { ipv4: 32, ipv6: 128 }[family];
    const change = (verb: string, ...flags: string[]): Promise<unknown> =>
      test.lab.exec('liar', ['ip', 'address', verb, `${victim[family]}/${mask}`, 'dev', 'eth0', ...flags]);
    // Whether anybody else has it need not be asked.
    await change('add', ...(family === 'ipv6' ? ['nodad'] : []));
    try {
      await expectCounted('Invalid source IP', () =>
        test.lab.exec('liar', ['ping', '-c', '1', '-W', '0.2', '-I', victim[family], server[family]]),
      );
    } finally {
      await change('delete');
    }
    await expectUdpEcho(liar, { address: server[family], port });
  });

  it('a pod that uses another MAC address is not believed', async () => {
    const datagram = { source: liar[family], destination: server[family], port: port + 1 };
    await expectCounted('Invalid source MAC', () =>
      forge(test.lab, 'liar', { ...datagram, sourceMac: '02:00:00:00:00:99' }),
    );
  });

  it('a pod that speaks for both ends of somebody else’s flow is not believed', async () => {
    const [near, far] = await Promise.all([victim.bind(5555), server.bind(port + 2)]);
    await near.send({ address: server[family], port: port + 2 }, 'truth');
    expect(await far.receive()).toMatchObject({ text: 'truth' });
    const since = test.events.mark();
    await forge(test.lab, 'liar', { source: victim[family], destination: server[family], port: port + 2 });
    await test.events.find(since, { type: 'drop', reason: 'Invalid source IP' });
    await expect(far.receive(100)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
    await Promise.all([near.close(), far.close()]);
  });

  it('a lie is dropped as a lie also where a policy would drop the truth', async () => {
    await test.apply(policy('closed', {}, { ingress: [nobody], egress: [nobody] }));
    const datagram = { source: victim[family], destination: server[family], port: port + 1 };
    await expectCounted('Invalid source IP', () => forge(test.lab, 'liar', datagram));
  });

  it.each(Object.entries({ 'a pod': () => victim[family], 'the node': () => node[family] }))(
    'a host outside that says it is %s is not believed',
    async (_, source) => {
      const datagram = { source: source(), destination: server[family], port: port + 1 };
      await expectCounted('Invalid source IP', () => forgeFromWorld(datagram));
    },
  );

  it('a pod does not reach the loopback addresses of its node', async () => {
    const socket = await node1.bind(port + 3);
    const since = test.events.mark();
    await forge(test.lab, 'liar', { source: liar[family], destination: loopback[family], port: port + 3 });
    await test.events.find(since, { type: 'drop', from: 'liar', address: loopback[family] });
    await expect(socket.receive(100)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
    await socket.close();
  });

  it('who tells the truth is heard all the while', async () => {
    await expectUdpEcho(liar, { address: server[family], port });
    expect(await ping(test, 'victim', server[family])).toBe(true);
  });
});

/** The frame must be addressed to the node, as a router on the LAN would. */
async function forgeFromWorld(datagram: Parameters<typeof forge>[2]): Promise<void> {
  const { stdout } = await test.lab.exec('@node1', ['cat', '/sys/class/net/eth0/address']);
  await forge(test.lab, '@world', { ...datagram, destinationMac: stdout.trim() });
}
