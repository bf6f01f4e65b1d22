// SPDX-License-Identifier: Apache-2.0
// The host's policy on real interfaces and sockets: above all what happens to connections that are older than it, of
// which nothing is remembered.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, Socket, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTcp, listenTcp } from '@weir/bpf-loader-node';
import { dropReason } from '@weir/datapath-layout';
import { families, host, world } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { connectWires, type Wires } from '../node/wires.ts';

const port = 8080;
const patienceMs = 10_000;

describePackets('the policy of the host, on the wire', () => {
  const open: (Socket | Server)[] = [];
  let wires: Wires;
  // Declared before the node, so that the programs are taken off its interfaces while it is still there.
  afterAll(() => wires?.remove());
  const node = usePacketNode();
  beforeAll(() => {
    wires = connectWires(node);
  });
  afterEach(() => {
    for (const each of open.splice(0)) {
      if (each instanceof Socket) each.destroy();
      else each.close();
    }
  });

  /** A connection from one namespace to an address of another; both ends. */
  const connect = async (from: string, to: { readonly netns: string; readonly address: string }) => {
    const listener = createServer();
    open.push(listener);
    listener.listen({ fd: listenTcp({ ...to, port }) });
    await once(listener, 'listening');
    const accepted = once(listener, 'connection') as Promise<[Socket]>;
    const fd = await connectTcp({ netns: from, address: to.address, port, timeoutMs: 3000 });
    const client = new Socket({ fd, readable: true, writable: true });
    const [server] = await accepted;
    for (const each of [client, server]) each.on('error', () => undefined);
    open.push(client, server);
    return { client, server };
  };
  const says = async (from: Socket, to: Socket, text: string): Promise<string> => {
    const heard = once(to, 'data', { signal: AbortSignal.timeout(patienceMs) });
    from.write(text);
    return String((await heard)[0]);
  };
  /** Whether what one end says is dropped as denied, and not heard. */
  const isCut = async (from: Socket, to: Socket): Promise<boolean> => {
    let isHeard = false;
    to.once('data', () => (isHeard = true));
    from.write('still there?');
    const isDenied = () => node.metrics().some(({ reason }) => reason === dropReason.policyDenied);
    for (let waited = 0; waited < patienceMs && !isHeard && !isDenied(); waited += 10) await sleep(10);
    return isDenied() && !isHeard;
  };

  describe.each(families)('over %s', (family) => {
    const inwards = () => connect(wires.outside, { netns: wires.node, address: host[family] });
    const outwards = () => connect(wires.node, { netns: wires.outside, address: world[family] });

    it('leaves a connection that the host has opened before it alone, whoever speaks first', async () => {
      const { client, server } = await outwards();
      node.setHostPolicy({ ingress: [] });
      expect(await says(server, client, 'from outside')).toBe('from outside');
      expect(await says(client, server, 'from the host')).toBe('from the host');
      // The kernel may still try again what it sent for a test before.
      expect(node.flows().filter(({ ports }) => ports.includes(client.localPort ?? 0))).toMatchObject([
        { from: 'host', to: 'world', flags: expect.arrayContaining(['established']) },
      ]);
    });

    it.each(['client', 'server'] as const)(
      'cuts one to the host that is older than it, also when the %s speaks first',
      async (first) => {
        const ends = await inwards();
        node.setHostPolicy({ ingress: [], egress: [{}] });
        const second = first === 'client' ? 'server' : 'client';
        expect(await isCut(ends[first], ends[second])).toBe(true);
      },
    );

    it('leaves one to the host alone that it allows, and cuts it once it does not any more', async () => {
      const { client, server } = await inwards();
      node.setHostPolicy({ ingress: [{ protocol: 6, port }], egress: [] });
      expect(await says(server, client, 'from the host')).toBe('from the host');
      expect(await says(client, server, 'from outside')).toBe('from outside');
      node.setHostPolicy({ ingress: [], egress: [] });
      expect(await isCut(client, server)).toBe(true);
    });

    it('cuts what the host has opened once it may not any more', async () => {
      node.setHostPolicy({ egress: [{ protocol: 6, port }] });
      const { client, server } = await outwards();
      expect(await says(client, server, 'hello')).toBe('hello');
      node.setHostPolicy({ egress: [] });
      expect(await isCut(client, server)).toBe(true);
    });
  });
});
