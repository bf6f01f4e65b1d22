// SPDX-License-Identifier: Apache-2.0
// Three nodes that reach each other's pods through the overlay; who sent a packet is known by what it carries.
import { describe, expect, it } from '@jest/globals';
import { forge, type ForgedDatagram } from './testing/forge.ts';
import { fromPods, policy } from './testing/policy.ts';
import { testThreeNodes } from './testing/three-nodes.ts';
import { families } from './testing/use-lab.ts';

const test = testThreeNodes('overlay', { routing: 'overlay' });
const port = 7100;
const node2 = '172.31.0.12';

describe.each(families)('what is forged, over %s', (family) => {
  const datagram = (identity: number): ForgedDatagram => ({
    ...{ source: test.at.node1[family], destination: test.at.node2[family], port },
    tunnel: { node: node2, identity },
  });
  const dropAtServer = async (from: string, forged: ForgedDatagram): Promise<string | undefined> => {
    const since = test.serverEvents.mark();
    await forge(test.lab, from, forged);
    const { reason } = await test.serverEvents.find(since, { type: 'drop', address: forged.destination, port });
    return reason ?? undefined;
  };

  it('is not believed of a host that is no node', async () => {
    expect(await dropAtServer('@world', datagram(test.at.node1.identity))).toBe('Unknown sender');
  });

  it("is not believed of a node in another node's pod's name", async () => {
    expect(await dropAtServer('@node3', datagram(test.at.node1.identity))).toBe('Invalid source IP');
  });

  it.each([1, 2, 3, 8, 255])('is not believed of a node with the identity %d', async (identity) => {
    expect(await dropAtServer('@node3', datagram(identity))).toBe('Invalid identity');
  });

  it("is not believed in a pod's name without a tunnel", async () => {
    const { stdout } = await test.lab.exec('@node2', ['ip', '-brief', 'link', 'show', 'eth0']);
    const [destinationMac = ''] = /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(stdout) ?? [];
    const { source, destination } = datagram(0);
    expect(await dropAtServer('@world', { source, destination, port, destinationMac })).toBe('Invalid source IP');
  });

  it('is not let out of a pod', async () => {
    const since = test.events.mark();
    await forge(test.lab, 'client', { ...datagram(test.at.node2.identity), tunnel: { node: node2, identity: 300 } });
    const drop = await test.events.find(since, { type: 'drop', from: 'client', address: node2, port: 8472 });
    expect(drop.reason).toBe('Encapsulation traffic is prohibited');
  });

  it('would pass if its node said the same, which shows that the forgeries are well made', async () => {
    await test.apply(policy('server', { app: 'server' }, { ingress: [fromPods({ app: 'nobody' })] }));
    expect(await dropAtServer('@node1', datagram(test.at.node1.identity))).toBe('Policy denied');
  });
});
