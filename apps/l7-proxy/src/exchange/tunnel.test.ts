// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { get, ok, soon } from '../testing/messages.ts';
import { startProxy, type ProxyHarness } from '../testing/proxy-harness.ts';
import type { RawPeer } from '../testing/raw-peer.ts';

const upgrade = (path: string, protocol = 'websocket'): string =>
  get(path, 'Connection: keep-alive, Upgrade', `Upgrade: ${protocol}`, 'Sec-WebSocket-Version: 13');
const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n';
const connect = 'CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n';

let proxy: ProxyHarness;
let client: RawPeer;
beforeEach(async () => {
  proxy = await startProxy();
  client = await proxy.client();
});
afterEach(() => proxy.close());

const begin = async (request: string): Promise<RawPeer> => {
  client.send(request);
  const server = await proxy.server.accept();
  await server.takeHead();
  return server;
};

describe('an upgrade', () => {
  it('makes a tunnel of the connection after an allowed request and a 101', async () => {
    const server = await begin(upgrade('/ok'));
    server.send(`${switching}server first`);
    await client.take('server first');
    client.send('\0\xffGET /no HTTP/1.1\r\n\r\n');
    expect(await server.take('\r\n\r\n')).toBe('\0\xffGET /no HTTP/1.1\r\n\r\n');
    server.send('\x81\x02hi');
    await client.take('hi');
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 1, status: 101 }]);
  });

  it('forwards what a client sent ahead only when the server has switched', async () => {
    const server = await begin(`${upgrade('/ok')}ahead`);
    await soon();
    expect(server.received).toBe('');
    server.send(switching);
    await server.take('ahead');
  });

  it('is not made when the request is refused', async () => {
    client.send(upgrade('/no') + get('/no'));
    expect((await client.takeResponse()).status).toBe(403);
    expect((await client.takeResponse()).status).toBe(403);
    expect(proxy.server.acceptedCount).toBe(0);
  });

  it('that the server does not make leaves HTTP, and judgement, in place', async () => {
    const server = await begin(`${upgrade('/ok')}${get('/no')}`);
    server.send(ok('no thanks'));
    expect((await client.takeResponse()).body).toBe('no thanks');
    expect((await client.takeResponse()).status).toBe(403);
    expect(server.received).toBe('');
  });

  it('passes the end of either side on, and the rest of what the other has to say', async () => {
    const server = await begin(upgrade('/ok'));
    server.send(switching);
    await client.takeHead();
    client.send('last words').socket.end();
    expect(await server.ended()).toBe('last words');
    server.send('and mine').socket.end();
    expect(await client.ended()).toBe('and mine');
    await soon();
    expect(proxy.proxy.connectionCount).toBe(0);
  });

  it('passes a reset on', async () => {
    const server = await begin(upgrade('/ok'));
    server.send(switching);
    await client.takeHead();
    server.socket.resetAndDestroy();
    await client.ended();
    expect(client.ending).toBe('reset');
  });

  it.each(['h2c', 'websocket, h2c', 'TLS/1.0, HTTP/1.1', 'HTTP/2.0'])(
    'to %s, in which requests would pass unjudged, is taken out of the request',
    async (protocol) => {
      client.send(upgrade('/ok', protocol));
      const server = await proxy.server.accept();
      expect(await server.takeHead()).toBe(upgrade('/ok', protocol).replace(/Upgrade: .*\r\n/, ''));
      server.send(ok('in HTTP/1.1'));
      expect((await client.takeResponse()).body).toBe('in HTTP/1.1');
    },
  );

  it.each([
    ['to a protocol that was not offered', upgrade('/ok'), switching.replace('WebSocket', 'h2c')],
    ['without saying to which protocol', upgrade('/ok'), 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['after a request that did not offer one with Connection', get('/ok', 'Upgrade: websocket'), switching],
    ['in HTTP/1.0', upgrade('/ok').replace('HTTP/1.1', 'HTTP/1.0'), switching],
  ])('that the server makes %s is a malformed response', async (_what, request, response) => {
    const server = await begin(request);
    server.send(response);
    expect(await client.ended()).toContain('502 Bad Gateway');
  });
});

describe('CONNECT', () => {
  it('is judged by method and host, and tunnels after a 2xx', async () => {
    await proxy.allow({ method: 'CONNECT', host: 'h:1' });
    const server = await begin(connect);
    server.send('HTTP/1.1 200 Connected\r\nContent-Length: 100\r\n\r\n');
    await client.takeHead();
    client.send('\x16\x03\x01');
    await server.take('\x16\x03\x01');
    server.send('\x16');
    await client.take('\x16');
  });

  it('without a 2xx leaves HTTP in place', async () => {
    await proxy.allow({ method: 'CONNECT' });
    const server = await begin(connect);
    server.send(ok('no').replace('200', '405'));
    expect((await client.takeResponse()).status).toBe(405);
    client.send(get('/no'));
    expect((await client.takeResponse()).status).toBe(403);
  });

  it('does not match a rule about paths', async () => {
    await proxy.allow({ path: '.+' });
    client.send(connect);
    expect(await client.ended()).toContain('403 Forbidden');
  });
});
