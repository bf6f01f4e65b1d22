// SPDX-License-Identifier: Apache-2.0
// Three namespaces in a row: client - node - server. The node opens sockets with the client's address towards the server,
// as a proxy does, and takes connections to the server's address from the client.
import { spawn } from 'node:child_process';
import { closeSync, readdirSync } from 'node:fs';
import { createServer, Socket, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { openNetworkNamespace, type NetworkNamespace } from './network-namespace.ts';
import { localAddress, peerAddress, setTcpOptions } from './tcp-options.ts';
import { connectTcp, listenTcp, type TcpListenOptions } from './transparent-socket.ts';

const families = [
  {
    family: 'ipv4',
    any: '0.0.0.0',
    client: '10.31.1.2',
    server: '10.31.2.2',
    absent: '10.31.2.77',
    nobody: '10.99.0.1',
  },
  { family: 'ipv6', any: '::', client: 'fd31:1::2', server: 'fd31:2::2', absent: 'fd31:2::77', nobody: 'fd99::1' },
] as const;
const port = 8080;
const proxyMark = 0xa00;

let namespaces: TestNamespaces;
const netns: Record<string, NetworkNamespace> = {};
const servers: Server[] = [];

beforeAll(() => {
  namespaces = createTestNamespaces(['client', 'node', 'server']);
  namespaces.join('left', { client: ['10.31.1.2/24', 'fd31:1::2/64'], node: ['10.31.1.1/24', 'fd31:1::1/64'] });
  namespaces.join('right', { server: ['10.31.2.2/24', 'fd31:2::2/64'], node: ['10.31.2.1/24', 'fd31:2::1/64'] });
  for (const family of [4, 6]) {
    const gateway = (net: number): string => (family === 4 ? `10.31.${net}.1` : `fd31:${net}::1`);
    namespaces.ip('client', `-${family} route add default via ${gateway(1)}`);
    namespaces.ip('server', `-${family} route add default via ${gateway(2)}`);
    // Whatever arrives at the node is delivered there, whoever it is for.
    namespaces.ip('node', `-${family} route add local default dev lo table 2004`);
    namespaces.ip('node', `-${family} rule add pref 10 iif left lookup 2004`);
    namespaces.ip('node', `-${family} rule add pref 10 iif right lookup 2004`);
    // A way to the address of nobody exists for packets with the mark only.
    const nobody = family === 4 ? '10.99.0.1/32' : 'fd99::1/128';
    namespaces.ip(
      'node',
      `-${family} route add ${nobody} via ${gateway(2).replace('.1', '.2').replace('::1', '::2')} table 2005`,
    );
    namespaces.ip('node', `-${family} rule add pref 11 fwmark 0xa00 lookup 2005`);
    namespaces.ip('server', `address add ${nobody} dev lo${family === 6 ? ' nodad' : ''}`);
  }
  for (const name of ['client', 'node', 'server']) netns[name] = openNetworkNamespace(namespaces.path(name));
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(() => {
  for (const namespace of Object.values(netns)) namespace.close();
  namespaces.remove();
});

/** A server in a namespace that tells each client both ends of its connection, as the server sees them. */
async function serve(name: string, options: Partial<TcpListenOptions> & { address: string }): Promise<Server> {
  const fd = listenTcp({ port, ...options, netns: netns[name]! });
  const server = createServer((socket) => {
    socket.end(`${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`);
  });
  servers.push(server);
  server.listen({ fd });
  await once(server, 'listening');
  return server;
}

/** Reads a connection to its end, through Node's own socket; closes it. */
async function readAll(fd: number): Promise<string> {
  const socket = new Socket({ fd, readable: true, writable: true });
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
  return text;
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

describe.each(families)('$family', ({ family, any, client, server, absent, nobody }) => {
  describe('listenTcp()', () => {
    it('gives a descriptor on which a server of Node takes connections, in the namespace', async () => {
      const listener = await serve('server', { address: server });
      expect(listener.address()).toEqual({ address: server, port, family: family === 'ipv4' ? 'IPv4' : 'IPv6' });
      const fd = await connectTcp({ netns: namespaces.path('server'), address: server, port });
      expect(await readAll(fd)).toMatch(new RegExp(`^${server} \\d+ ${server} ${port}$`));
    });

    it('takes connections to addresses of others if it is transparent', async () => {
      await serve('node', { address: any, transparent: true });
      const fd = await connectTcp({ netns: netns.client!, address: nobody, port });
      expect(peerAddress(fd)).toEqual({ address: nobody, port, family });
      expect(await readAll(fd)).toMatch(new RegExp(`^${client} \\d+ ${nobody} ${port}$`));
    });

    it('fails when the address is taken, with the address', async () => {
      await serve('server', { address: server });
      const descriptors = openDescriptors();
      const again = (): number => listenTcp({ netns: netns.server!, address: server, port });
      expect(again).toThrow(expect.objectContaining({ errnoName: 'EADDRINUSE', operation: 'bind' }));
      expect(again).toThrow(`${server}${family === 'ipv4' ? '' : ']'}:${port}`);
      expect(openDescriptors()).toBeLessThanOrEqual(descriptors);
    });
  });

  describe('connectTcp()', () => {
    it.each([0, 40_000])("comes from another's address, port %i", async (sourcePort) => {
      await serve('server', { address: server });
      const source = { address: client, port: sourcePort };
      const fd = await connectTcp({ netns: netns.node!, address: server, port, source });
      const local = localAddress(fd);
      expect(local).toMatchObject({ address: client, family });
      if (sourcePort !== 0) expect(local.port).toBe(sourcePort);
      expect(await readAll(fd)).toBe(`${client} ${local.port} ${server} ${port}`);
    });

    it('uses a port again that a closed connection has used', async () => {
      await serve('server', { address: server });
      for (let i = 0; i < 3; i++) {
        const fd = await connectTcp({
          netns: netns.node!,
          address: server,
          port,
          source: { address: client, port: 40_001 },
        });
        expect(await readAll(fd)).toContain('40001');
      }
    });

    it('has its mark before the first packet', async () => {
      await serve('server', { address: any });
      const target = { netns: netns.node!, address: nobody, port };
      await expect(connectTcp(target)).rejects.toMatchObject({ code: 'UNAVAILABLE', errnoName: 'ENETUNREACH' });
      const fd = await connectTcp({ ...target, mark: proxyMark, source: { address: client } });
      expect(await readAll(fd)).toMatch(new RegExp(`^${client} `));
    });

    it('resolves in the same turn of the event loop when the peer is on this machine', async () => {
      await serve('server', { address: server });
      let turns = 0;
      const immediate = setImmediate(() => turns++);
      const fd = await connectTcp({ netns: netns.node!, address: server, port });
      clearImmediate(immediate);
      expect(turns).toBe(0);
      closeSync(fd);
    });

    it('waits for a peer that answers later', async () => {
      const server77 = await serve('server', { address: any });
      const connecting = connectTcp({ netns: netns.node!, address: absent, port, timeoutMs: 5000 });
      setTimeout(() => {
        namespaces.ip('server', `address add ${absent}/${family === 'ipv4' ? '32' : '128 nodad'} dev right`);
      }, 50);
      expect(await readAll(await connecting)).toContain(`${absent} ${(server77.address() as AddressInfo).port}`);
      namespaces.ip('server', `address del ${absent}/${family === 'ipv4' ? '32' : '128'} dev right`);
    });

    it('rejects with UNAVAILABLE when the peer refuses, and leaves nothing open', async () => {
      const descriptors = openDescriptors();
      await expect(connectTcp({ netns: netns.node!, address: server, port: 1 })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        errnoName: 'ECONNREFUSED',
        message: expect.stringContaining(server),
      });
      expect(openDescriptors()).toBeLessThanOrEqual(descriptors);
    });

    it('rejects with TIMEOUT or CANCELLED while nobody answers, and leaves nothing open', async () => {
      const target = { netns: netns.server!, address: absent.replace('77', '78'), port };
      // The first connection that has to wait starts the watching, whose descriptors stay.
      await expect(connectTcp({ ...target, timeoutMs: 1 })).rejects.toMatchObject({ code: 'TIMEOUT' });
      const descriptors = openDescriptors();
      await expect(connectTcp({ ...target, timeoutMs: 20 })).rejects.toMatchObject({
        code: 'TIMEOUT',
        message: expect.stringMatching(/did not finish within 20 ms$/),
      });
      const signal = AbortSignal.timeout(20);
      await expect(connectTcp({ ...target, signal })).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(connectTcp({ ...target, signal })).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(openDescriptors()).toBeLessThanOrEqual(descriptors);
    });

    it("cannot come from another's address if told not to be transparent", async () => {
      const source = { address: nobody };
      const target = { netns: netns.node!, address: server, port, source, transparent: false };
      await expect(connectTcp(target)).rejects.toMatchObject({ errnoName: 'EADDRNOTAVAIL', operation: 'bind' });
    });
  });

  describe('setTcpOptions()', () => {
    it('changes mark, delay, keep-alive and time-out of a connection', async () => {
      await serve('server', { address: server });
      const fd = await connectTcp({ netns: netns.node!, address: server, port, noDelay: false });
      setTcpOptions(fd, {
        mark: 0xffff_ffff,
        noDelay: true,
        keepAlive: { idleSeconds: 10, intervalSeconds: 5, probesMax: 3 },
        userTimeoutMs: 2000,
      });
      setTcpOptions(fd, { keepAlive: false });
      const keepAlive = { idleSeconds: 40_000, intervalSeconds: 5, probesMax: 3 };
      expect(() => {
        setTcpOptions(fd, { keepAlive });
      }).toThrow(expect.objectContaining({ errnoName: 'EINVAL', message: expect.stringContaining('TCP_KEEPIDLE') }));
      expect(() => {
        setTcpOptions(fd, { mark: 2 ** 32 });
      }).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('SO_MARK') }));
      closeSync(fd);
    });
  });
});

describe('the example transparent-relay', () => {
  it('passes a connection on from the address of the client, both ways', async () => {
    const [{ server, client }] = families;
    await serve('server', { address: server });
    const example = join(import.meta.dirname, '../examples/transparent-relay.ts');
    const relay = spawn(process.execPath, [example, String(port), namespaces.path('node')]);
    try {
      await once(relay.stdout, 'data');
      const fd = await connectTcp({ netns: netns.client!, address: server, port });
      // The relay's own port is not the client's, but its address is, and the client sees the server's answer.
      expect(await readAll(fd)).toMatch(new RegExp(`^${client} \\d+ ${server} ${port}$`));
    } finally {
      relay.kill();
      await once(relay, 'close');
    }
  });
});

describe('listenTcp() without transparent', () => {
  // IPv6 does not ask whose address a packet is sent from.
  it('does not take IPv4 connections to addresses of others', async () => {
    await serve('node', { address: '0.0.0.0' });
    const target = { netns: netns.client!, address: families[0].nobody, port, timeoutMs: 100 };
    await expect(connectTcp(target)).rejects.toMatchObject({ code: 'TIMEOUT' });
  });
});

describe('listenTcp() with dualStack', () => {
  it('takes connections of both families', async () => {
    await serve('server', { address: '::', dualStack: true });
    for (const { server } of families) {
      const fd = await connectTcp({ netns: netns.node!, address: server, port });
      expect(await readAll(fd)).toContain(server);
    }
  });

  it('takes IPv6 only without it', async () => {
    await serve('server', { address: '::' });
    await expect(connectTcp({ netns: netns.node!, address: '10.31.2.2', port })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});

describe('wrong arguments', () => {
  it.each([
    ['an address that is none', { address: 'localhost' }],
    ['an address with a zone', { address: 'fe80::1%lo' }],
    ['a port of 65536', { port: 65_536 }],
    ['a negative port', { port: -1 }],
    ['a source of the other family', { source: { address: '::1' } }],
    ['a mark of 33 bits', { mark: 2 ** 32 }],
  ])('of connectTcp(): %s is refused', async (_title, options) => {
    await expect(connectTcp({ address: '127.0.0.1', port: 1, ...options })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('of localAddress() and peerAddress(): a descriptor that is no socket, or none', () => {
    expect(() => localAddress(-1)).toThrow(expect.objectContaining({ errnoName: 'EBADF' }));
    expect(() => peerAddress(0.5)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
