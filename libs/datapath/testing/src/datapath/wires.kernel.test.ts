// SPDX-License-Identifier: Apache-2.0
// The same programs on real interfaces, with real sockets at both ends: what a test run cannot show, which is that packets
// arrive, and that the proxy's sockets get theirs.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, Socket, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTcp, listenTcp, type TcpConnectOptions } from '@weir/bpf-loader-node';
import { dropReason } from '@weir/datapath-layout';
import { marks } from '../node/packet-node.ts';
import { client, families, host, server, world, type Family } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { connectWires, type Wires } from '../node/wires.ts';

const port = 8080;
const proxyPort = 10001;
const redirect = { verdict: 'redirect', ruleSet: 7 } as const;

describePackets('on the wire', () => {
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

  /** Answers everything with itself in capitals. */
  const serve = async (
    netns: string,
    options: { address: string; port: number; transparent?: boolean; mark?: number },
  ) => {
    const accepted: Socket[] = [];
    const listener = createServer((socket) => {
      accepted.push(socket);
      open.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => socket.write(data.toString().toUpperCase()));
    });
    open.push(listener);
    listener.listen({ fd: listenTcp({ ...options, netns }) });
    await once(listener, 'listening');
    return accepted;
  };

  const dial = async (netns: string, options: Omit<TcpConnectOptions, 'netns'>) => {
    const fd = await connectTcp({ timeoutMs: 3000, ...options, netns });
    const socket = new Socket({ fd, readable: true, writable: true });
    socket.on('error', () => undefined);
    open.push(socket);
    return socket;
  };

  const say = async (socket: Socket, text: string): Promise<string> => {
    const answer = once(socket, 'data', { signal: AbortSignal.timeout(2000) });
    socket.write(text);
    return String((await answer)[0]);
  };
  /** Whether what is sent is dropped as denied, and not answered. */
  const isCut = async (socket: Socket): Promise<boolean> => {
    let isAnswered = false;
    socket.once('data', () => (isAnswered = true));
    socket.write('still there?');
    const isDenied = () => node.metrics().some(({ reason }) => reason === dropReason.policyDenied);
    for (let waited = 0; waited < 2000 && !isAnswered && !isDenied(); waited += 10) await sleep(10);
    return isDenied() && !isAnswered;
  };
  const hasFlow = (flow: object) => expect(node.flows()).toContainEqual(expect.objectContaining(flow));

  describe.each(families)('over %s', (family: Family) => {
    const loopback = family === 'ipv4' ? '127.0.0.1' : '::1';

    it('pods, the host and the world reach each other', async () => {
      const paths = [
        { from: wires.client, to: wires.server, address: server[family] },
        { from: wires.client, to: wires.node, address: host[family] },
        { from: wires.client, to: wires.outside, address: world[family] },
        { from: wires.node, to: wires.client, address: client[family] },
        { from: wires.outside, to: wires.client, address: client[family], source: { address: world[family] } },
      ];
      for (const { from, to, address, ...source } of paths) {
        await serve(to, { address, port });
        const socket = await dial(from, { address, port, ...source });
        expect(await say(socket, 'hello')).toBe('HELLO');
        for (const each of open.splice(0)) {
          if (each instanceof Socket) each.destroy();
          else each.close();
        }
      }
    });

    it('what is denied does not get through, and what is running is cut', async () => {
      await serve(wires.server, { address: server[family], port });
      const socket = await dial(wires.client, { address: server[family], port });
      expect(await say(socket, 'hello')).toBe('HELLO');
      node.setPolicy(server, { ingress: [] });
      expect(await isCut(socket)).toBe(true);
      await expect(dial(wires.client, { address: server[family], port, timeoutMs: 300 })).rejects.toMatchObject({
        code: 'TIMEOUT',
      });
      expect((await node.events()).some(({ reason }) => reason === 'policyDenied')).toBe(true);
    });

    describe('the proxy', () => {
      const startProxy = async () => {
        const accepted = await serve(wires.node, {
          address: loopback,
          port: proxyPort,
          transparent: true,
          mark: marks.clientLeg,
        });
        node.setProxyPort(proxyPort);
        return accepted;
      };

      it.each([
        { title: 'another pod', from: 'client', to: 'server', policed: server, rules: { ingress: [redirect] } },
        { title: 'the world', from: 'client', to: 'world', policed: client, rules: { egress: [redirect] } },
        { title: 'the host', from: 'client', to: 'host', policed: client, rules: { egress: [redirect] } },
        {
          title: 'a pod, from the world',
          from: 'world',
          to: 'server',
          policed: server,
          rules: { ingress: [redirect] },
        },
        { title: 'a pod, from the host', from: 'host', to: 'server', policed: server, rules: { ingress: [redirect] } },
      ] as const)('takes connections to $title as if it were there, with both addresses', async (row) => {
        const places = { client: wires.client, world: wires.outside, host: wires.node };
        const addresses = { client: client[family], server: server[family], world: world[family], host: host[family] };
        node.setPolicy(row.policed, row.rules);
        const accepted = await startProxy();
        const socket = await dial(places[row.from], {
          address: addresses[row.to],
          port,
          ...(row.from === 'world' ? { source: { address: world[family] } } : {}),
        });
        expect(await say(socket, 'through the proxy')).toBe('THROUGH THE PROXY');
        expect(accepted[0]).toMatchObject({
          remoteAddress: addresses[row.from],
          localAddress: addresses[row.to],
          localPort: port,
        });
        hasFlow({ from: row.from, to: row.to, flags: ['redirected', 'replySeen', 'established'] });
      });

      it('has its own leg to the server, with the client’s address, and gets the answers', async () => {
        node.setPolicy(server, { ingress: [redirect] });
        const accepted = await serve(wires.server, { address: server[family], port });
        const leg = await dial(wires.node, {
          address: server[family],
          port,
          source: { address: client[family] },
          mark: marks.serverLeg,
        });
        expect(await say(leg, 'from the proxy')).toBe('FROM THE PROXY');
        expect(accepted[0]?.remoteAddress).toBe(client[family]);
        hasFlow({ isProxyLeg: true, from: 'client', to: 'server' });
      });

      it('keeps a connection that was opened before the rules were loosened', async () => {
        node.setPolicy(server, { ingress: [redirect] });
        await startProxy();
        const socket = await dial(wires.client, { address: server[family], port });
        expect(await say(socket, 'one')).toBe('ONE');
        node.setPolicy(server, { ingress: [{}] });
        expect(await say(socket, 'two')).toBe('TWO');
        node.setPolicy(server, { ingress: [] });
        expect(await isCut(socket)).toBe(true);
      });

      it('is never gone round when it is not there', async () => {
        node.setPolicy(server, { ingress: [redirect] });
        await serve(wires.server, { address: server[family], port });
        await expect(dial(wires.client, { address: server[family], port, timeoutMs: 300 })).rejects.toMatchObject({
          code: 'TIMEOUT',
        });
        expect((await node.events()).some(({ reason }) => reason === 'proxyNotListening')).toBe(true);
        // A SYN that is sent again finds it when it is back.
        const connecting = dial(wires.client, { address: server[family], port });
        await startProxy();
        expect(await say(await connecting, 'at last')).toBe('AT LAST');
      });

      it('takes a new connection with the ports of one that has just ended', async () => {
        node.setPolicy(server, { ingress: [redirect] });
        const accepted = await startProxy();
        const source = { address: client[family], port: 45678 };
        for (const text of ['first', 'second']) {
          const socket = await dial(wires.client, { address: server[family], port, source });
          expect(await say(socket, text)).toBe(text.toUpperCase());
          // The proxy closes first, so that the rest of the connection waits on its side.
          accepted.at(-1)?.end();
          await once(socket, 'end');
          socket.end();
          await once(socket, 'close');
        }
        expect(accepted).toHaveLength(2);
      });

      it('cannot be reached by a pod on its own address', async () => {
        await startProxy();
        const { promise, resolve } = Promise.withResolvers<unknown>();
        dial(wires.client, { address: host[family], port: proxyPort, timeoutMs: 300 }).then(resolve, resolve);
        expect(await promise).toMatchObject({ code: 'UNAVAILABLE' });
      });
    });
  });
});
