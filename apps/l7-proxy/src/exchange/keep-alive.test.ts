// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { get, ok, soon } from '../testing/messages.ts';
import { startProxy, type ProxyHarness } from '../testing/proxy-harness.ts';
import type { RawPeer } from '../testing/raw-peer.ts';

let proxy: ProxyHarness;
let client: RawPeer;
beforeEach(async () => {
  proxy = await startProxy();
  client = await proxy.client();
});
afterEach(() => proxy.close());

describe('an allowed request', () => {
  it('goes through byte for byte, and so does the answer', async () => {
    const request = 'GET /ok?a=%41&b HTTP/1.1\r\nhOST:\th  \r\nX-Odd:   two  words \t\r\nx-odd: \x80\xff\r\n\r\n';
    client.send(request);
    const server = await proxy.server.accept();
    expect(await server.takeHead()).toBe(request);
    const response = 'HTTP/1.1 299 \xe4h\r\ncontent-LENGTH:\t2\r\nX: \r\n\r\nhi';
    server.send(response);
    expect(await client.take('hi')).toBe(response);
  });

  it('reaches the server whatever the size of the parts in which it comes', async () => {
    const request = `POST /ok HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n`;
    for (const byte of request) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const server = await proxy.server.accept();
    expect(await server.take('T: v\r\n\r\n')).toBe(request);
    for (const byte of ok('yes')) {
      server.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.take('yes')).toBe(ok('yes'));
  });

  it('uses the connection that the last one has used', async () => {
    for (let i = 0; i < 5; i++) {
      client.send(get(`/ok/${i}`));
      const server = i === 0 ? await proxy.server.accept() : lastServer!;
      lastServer = server;
      await server.takeHead();
      server.send(ok(String(i)));
      expect((await client.takeResponse()).body).toBe(String(i));
    }
    expect(proxy.server.acceptedCount).toBe(1);
  });
  let lastServer: RawPeer | undefined;

  it('is logged with who, what and how it went', async () => {
    const before = Date.now();
    client.send(get('/ok?q'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(ok('', 'X: y').replace('200', '418'));
    await client.takeHead();
    const [call] = await proxy.calls(1);
    expect(call).toMatchObject({
      verdict: 1,
      method: 'GET',
      path: '/ok?q',
      host: 'h',
      protocol: 'HTTP/1.1',
      status: 418,
      sourceIdentity: 300,
      destinationIdentity: 400,
      ingressRuleSet: 1,
      sourceAddress: Buffer.from([127, 0, 0, 1]),
      sourcePort: client.socket.localPort,
      destinationPort: proxy.port,
    });
    expect((call?.timeNs ?? 0) / 1e6).toBeGreaterThan(before - 100);
    expect((call?.timeNs ?? 0) / 1e6).toBeLessThan(Date.now() + 100);
    expect(call?.latencyNs).toBeGreaterThan(0);
    expect(call?.latencyNs).toBeLessThan(5e9);
  });
});

describe('pipelined requests', () => {
  it('are judged one by one, and answered in their order', async () => {
    client.send(get('/ok/1') + get('/no') + get('/ok/2') + get('/no') + get('/ok/3'));
    const server = await proxy.server.accept();
    expect(await server.takeHead()).toBe(get('/ok/1'));
    // Nothing of the second one before the first is answered.
    await soon();
    expect(server.received).toBe('');
    server.send(ok('one'));
    expect(await server.takeHead()).toBe(get('/ok/2'));
    server.send(ok('two'));
    expect(await server.takeHead()).toBe(get('/ok/3'));
    server.send(ok('three'));
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push((await client.takeResponse()).body);
    expect(answers).toEqual(['one', 'Access denied\r\n', 'two', 'Access denied\r\n', 'three']);
    expect((await proxy.calls(5)).map(({ status }) => status)).toEqual([200, 403, 200, 403, 200]);
  });

  it('are held in the kernel while one is answered, whatever their number', async () => {
    client.send(get('/ok/first'));
    const server = await proxy.server.accept();
    await server.takeHead();
    const flood = get('/ok').repeat(200_000);
    client.send(flood);
    await soon(200);
    // What the proxy does not read stays with the client.
    expect(client.socket.writableLength).toBeGreaterThan(flood.length / 4);
    server.send(ok('done'));
    expect((await client.takeResponse()).body).toBe('done');
    expect(await server.takeHead()).toBe(get('/ok'));
  });

  it('that are all refused do not gather answers for a client that does not read', async () => {
    client.socket.pause();
    const count = 30_000;
    const memory = process.memoryUsage().rss;
    for (let i = 0; i < 100; i++) client.send(get('/no').repeat(count / 100));
    await soon(300);
    expect(process.memoryUsage().rss - memory).toBeLessThan(64 * 1024 * 1024);
    client.socket.resume();
    let denied = 0;
    for (; denied < count; denied++) await client.takeResponse();
    expect(denied).toBe(count);
  });
});

describe('a connection', () => {
  const exchange = async (request: string, response: string): Promise<RawPeer> => {
    client.send(request);
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(response);
    return server;
  };

  it.each([
    ['HTTP/1.1 with Connection: close in the request', get('/ok', 'Connection: x, CLOSE'), ok('a')],
    ['HTTP/1.1 with Connection: close in the response', get('/ok'), ok('a', 'Connection: close')],
    ['HTTP/1.0', 'GET /ok HTTP/1.0\r\n\r\n', ok('a')],
    ['an HTTP/1.0 response', get('/ok'), ok('a').replace('1.1', '1.0')],
    ['a response as long as the connection', get('/ok'), 'HTTP/1.1 200 OK\r\n\r\na'],
  ])('ends after the answer: %s', async (_what, request, response) => {
    const server = await exchange(request, response);
    if (!response.includes('Content-Length')) server.socket.end();
    expect(await client.ended()).toBe(response);
    expect(client.ending).toBe('end');
    await server.ended();
  });

  it.each([
    ['HTTP/1.1', get('/ok'), ok('a')],
    [
      'HTTP/1.0 with keep-alive both ways',
      'GET /ok HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
      ok('a', 'Connection: Keep-Alive').replace('1.1', '1.0'),
    ],
  ])('lasts: %s', async (_what, request, response) => {
    const server = await exchange(request, response);
    await client.takeResponse();
    client.send(request);
    expect(await server.takeHead()).toBe(request);
  });

  it('ends when the server ends it between two requests', async () => {
    const server = await exchange(get('/ok'), ok('a'));
    await client.takeResponse();
    server.socket.end();
    await client.ended();
    expect(client.ending).toBe('end');
  });

  it('ends, and the one to the server, when the client ends it between two requests', async () => {
    const server = await exchange(get('/ok'), ok('a'));
    await client.takeResponse();
    client.socket.end();
    await Promise.all([client.ended(), server.ended()]);
    expect([client.ending, server.ending]).toEqual(['end', 'end']);
  });

  it('answers a client that has said everything and ended its side', async () => {
    client.send(get('/ok'));
    client.socket.end();
    const server = await proxy.server.accept();
    await server.takeHead();
    await server.ended();
    server.send(ok('late'));
    expect(await client.ended()).toBe(ok('late'));
  });

  it('answers all pipelined requests of a client that has ended its side', async () => {
    client.send(get('/ok/1') + get('/no') + get('/ok/2'));
    client.socket.end();
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send(ok('one'));
    expect(await server.takeHead()).toBe(get('/ok/2'));
    server.send(ok('two'));
    expect(await client.ended()).toMatch(/one[^]*Access denied[^]*two$/);
  });

  it('ends without an answer when the server ends it just as the second request comes, so that the client repeats it', async () => {
    const server = await exchange(get('/ok'), ok('a'));
    await client.takeResponse();
    client.send(get('/ok/2'));
    await server.takeHead();
    server.socket.end();
    expect(await client.ended()).toBe('');
    expect((await proxy.calls(2))[1]).toMatchObject({ verdict: 3, status: 0, path: '/ok/2' });
  });
});
