// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { get, ok, post, soon } from '../testing/messages.ts';
import { startProxy, type ProxyHarness } from '../testing/proxy-harness.ts';
import type { RawPeer } from '../testing/raw-peer.ts';

let proxy: ProxyHarness;
let client: RawPeer;
beforeEach(async () => {
  proxy = await startProxy();
  client = await proxy.client();
});
afterEach(() => proxy.close());

const smuggled = get('/ok/smuggled');

describe('a request that two parsers could read differently gets 400, closes, and reaches nobody', () => {
  it.each([
    ['Content-Length and chunked', post('/ok', 'Content-Length: 5', 'Transfer-Encoding: chunked') + '0\r\n\r\n'],
    ['two Content-Lengths', post('/ok', 'Content-Length: 0', 'Content-Length: 50')],
    ['chunked not last', post('/ok', 'Transfer-Encoding: chunked, identity') + '0\r\n\r\n'],
    ['chunked in disguise', post('/ok', 'Transfer-Encoding : chunked') + '0\r\n\r\n'],
    ['a folded line', get('/ok', 'X: a', '\tb')],
    ['bare line feeds', get('/ok').replaceAll('\r', '')],
    ['a bare carriage return', get('/ok', 'X: a\rb')],
    ['a NUL', get('/ok', 'X: \0')],
    ['no Host', 'GET /ok HTTP/1.1\r\n\r\n'],
    ['two Hosts', get('/ok', 'Host: g')],
    ['another Host than the target', get('http://g/ok')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/0.9', 'GET /ok\r\n'],
    ['a head above the limit', get('/ok', `X: ${'y'.repeat(5000)}`)],
    ['too many fields', get('/ok', ...Array.from({ length: 20 }, () => 'X: y'))],
    ['a bad chunk', post('/ok', 'Transfer-Encoding: chunked') + '1 \r\nx\r\n0\r\n\r\n'],
    ['a chunk with a bare line feed', post('/ok', 'Transfer-Encoding: chunked') + '1;\nx\r\n0\r\n\r\n'],
  ])('%s', async (_what, request) => {
    client.send(request + smuggled);
    const answer = await client.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[^]*connection: close\r\n\r\nBad request: .+\r\n$/);
    await soon();
    expect(proxy.server.acceptedCount).toBe(0);
    const [call] = await proxy.calls(1);
    expect(call).toMatchObject({ verdict: 3, status: 400 });
    expect(answer).toContain(call?.reason);
  });

  it('and the log says what could be read of it', async () => {
    client.send(get('/ok', 'X : y'));
    await client.ended();
    expect(await proxy.calls(1)).toMatchObject([{ method: 'GET', path: '/ok', reason: expect.any(String) }]);
  });

  it('behind a good one, which is answered first', async () => {
    client.send(get('/ok') + get('/ok', 'X : y') + smuggled);
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(ok('good'));
    expect((await client.takeResponse()).body).toBe('good');
    expect((await client.takeResponse()).status).toBe(400);
    await client.ended();
    expect(server.received).toBe('');
  });

  it('with a chunk that goes bad on its way, whose server is cut off too', async () => {
    client.send(post('/ok', 'Transfer-Encoding: chunked') + '3\r\nabc\r\n');
    const server = await proxy.server.accept();
    await server.take('abc\r\n');
    client.send('zzz\r\n' + smuggled);
    expect(await client.ended()).toContain('400 Bad Request');
    expect(await server.ended()).toBe('');
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 3, status: 400, path: '/ok' }]);
  });

  it('with a head that the client cuts off', async () => {
    client.send('GET /ok HTTP/1.1\r\nHost: h\r\n').socket.end();
    expect(await client.ended()).toContain('Bad request: message is cut off');
  });
});

describe('a response that two parsers could read differently gets 502 and closes', () => {
  it.each([
    ['both framings', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n'],
    ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2p1\r\n'],
    ['a head above the limit', ok('', `X: ${'y'.repeat(5000)}`)],
    ['a bad first chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n'],
    [
      'a switch of protocols that nobody asked for',
      'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    ],
  ])('%s', async (_what, response) => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(response);
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n[^]*Bad gateway: response: .+\r\n$/);
    await server.ended();
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 3, status: 502, path: '/ok' }]);
  });

  it('or only closes, once the client has got a part of it', async () => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    await client.take('x\r\n');
    server.send('zz\r\nHTTP/1.1 200 OK');
    expect(await client.ended()).toBe('');
  });
});

describe('bytes that nobody asked a server for', () => {
  it.each([
    ['behind a response', ok('a') + ok('poison')],
    ['behind a response without a body', `HTTP/1.1 204 No Content\r\n\r\n${ok('poison')}`],
  ])('%s end the connection, so that no request takes them for its answer', async (_what, response) => {
    client.send(get('/ok') + get('/ok/2'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(response);
    expect(await client.ended()).not.toContain('poison');
    expect(await server.ended()).toBe('');
  });

  it('between two requests end the connection', async () => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(ok('a'));
    await client.takeResponse();
    server.send(ok('poison'));
    expect(await client.ended()).toBe('');
  });
});

describe('a server that cannot be had', () => {
  it('gets its client 503 with the reason when it refuses', async () => {
    proxy.server.close();
    client.send(get('/ok'));
    const { status, body } = await client.takeResponse();
    expect(status).toBe(503);
    expect(body).toContain('ECONNREFUSED');
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 3, status: 503, path: '/ok' }]);
  });

  it('gets its client 502 when it ends the connection without an answer', async () => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.socket.end();
    expect(await client.ended()).toContain('Bad gateway: the server closed the connection without an answer');
  });

  it('gets its client 502 when it resets the connection, or ends in the middle of a head', async () => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.socket.resetAndDestroy();
    expect(await client.ended()).toContain('Bad gateway: the connection to the server failed');

    const other = await proxy.client();
    other.send(get('/ok'));
    const second = await proxy.server.accept();
    await second.takeHead();
    second.send('HTTP/1.1 200 OK\r\n').socket.end();
    expect(await other.ended()).toContain('Bad gateway: response: message is cut off');
  });

  it('is left at once when the client goes away', async () => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    client.socket.resetAndDestroy();
    await server.ended();
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 3, status: 0, reason: 'the client closed the connection' }]);
    await soon();
    expect(proxy.proxy.connectionCount).toBe(0);
  });
});
