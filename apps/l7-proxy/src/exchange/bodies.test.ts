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

const begin = async (request: string): Promise<RawPeer> => {
  client.send(request);
  const server = await proxy.server.accept();
  await server.takeHead();
  return server;
};

describe('a body', () => {
  it('streams to the server as it comes, with Content-Length', async () => {
    const server = await begin(post('/ok', 'Content-Length: 6'));
    client.send('abc');
    await server.take('abc');
    client.send('defGET');
    await server.take('def');
    server.send(ok('x'));
    await client.takeResponse();
    expect(server.received).toBe('');
  });

  it('streams to the server as it comes, in chunks, with extensions and trailers', async () => {
    const server = await begin(post('/ok', 'Transfer-Encoding: chunked'));
    for (const part of ['3;a=b\r', '\nab', 'c\r\n0\r\n', 'X-Sum: 1\r\n\r\n']) {
      client.send(part);
      await server.take(part);
    }
  });

  it('streams to the client as it comes, in chunks, with trailers', async () => {
    const server = await begin(get('/ok'));
    server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.takeHead();
    for (const part of ['3;a=b\r', '\nab', 'c\r\n0\r\n', 'X-Sum: 1\r\n\r\n']) {
      server.send(part);
      await client.take(part);
    }
    client.send(get('/ok/2'));
    expect(await server.takeHead()).toBe(get('/ok/2'));
  });

  it('that ends with the connection streams to the client, to its end', async () => {
    const server = await begin(get('/ok'));
    server.send('HTTP/1.1 200 OK\r\n\r\nabc');
    await client.take('abc');
    server.send('def');
    server.socket.end();
    expect(await client.ended()).toBe('def');
    expect(client.ending).toBe('end');
  });

  it('that ends with a reset connection is not passed off as complete', async () => {
    const server = await begin(get('/ok'));
    server.send('HTTP/1.1 200 OK\r\n\r\nabc');
    await client.take('abc');
    server.socket.resetAndDestroy();
    await client.ended();
    expect(client.ending).toBe('reset');
  });

  it('that is shorter than promised ends the connection', async () => {
    const server = await begin(get('/ok'));
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    await client.take('abc');
    server.socket.end();
    expect(await client.ended()).toBe('');
  });

  it('of a request that is cut off is cut off for the server too, which may still answer', async () => {
    const server = await begin(post('/ok', 'Content-Length: 6'));
    client.send('abc').socket.end();
    expect(await server.ended()).toBe('abc');
    server.send(ok('what?').replace('200', '400'));
    expect(await client.ended()).toContain('what?');
  });
});

describe('a response without a body', () => {
  it.each([
    ['to HEAD', get('/ok').replace('GET', 'HEAD'), ok('').replace('0', '5')],
    ['204', get('/ok'), 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['304 with the length of what is not sent', get('/ok'), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'],
    ['to HEAD, chunked', get('/ok').replace('GET', 'HEAD'), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('%s is complete with its head', async (_what, request, response) => {
    const server = await begin(request);
    server.send(response);
    expect(await client.takeHead()).toBe(response);
    client.send(get('/ok/2'));
    expect(await server.takeHead()).toBe(get('/ok/2'));
  });
});

describe('interim responses', () => {
  it('pass before the final one, whether together or apart', async () => {
    const server = await begin(get('/ok'));
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';
    server.send(hints);
    expect(await client.takeHead()).toBe(hints);
    server.send(`HTTP/1.1 102 Processing\r\n\r\n${hints}${ok('a')}`);
    expect(await client.take('\r\na')).toContain(hints);
    expect((await proxy.calls(1)).map(({ status }) => status)).toEqual([200]);
  });

  it('do not reach an HTTP/1.0 client', async () => {
    const server = await begin('GET /ok HTTP/1.0\r\n\r\n');
    server.send(`HTTP/1.1 103 Early Hints\r\n\r\n${ok('a')}`);
    expect(await client.ended()).toBe(ok('a'));
  });

  it('let a client that asked with Expect send its body', async () => {
    const server = await begin(post('/ok', 'Content-Length: 3', 'Expect: 100-continue'));
    server.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.takeHead();
    client.send('abc');
    await server.take('abc');
    server.send(ok('a'));
    expect((await client.takeResponse()).body).toBe('a');
  });

  it('without an end are a malformed response', async () => {
    const server = await begin(get('/ok'));
    server.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(100));
    expect(await client.ended()).toContain('HTTP/1.1 502 Bad Gateway');
  });
});

describe('a response before the end of the request', () => {
  it('passes at once, and the connection lasts when both are complete', async () => {
    const server = await begin(post('/ok', 'Content-Length: 6'));
    server.send(ok('early'));
    expect((await client.takeResponse()).body).toBe('early');
    client.send(`abcdef${get('/ok/2')}`);
    expect(await server.takeHead()).toBe(`abcdef${get('/ok/2')}`);
  });

  it('reaches a client that is still sending when the server closes', async () => {
    const server = await begin(post('/ok', 'Content-Length: 100000000'));
    server.send(ok('too large', 'Connection: close').replace('200', '413'));
    server.socket.end();
    client.send('x'.repeat(100_000));
    expect((await client.takeResponse()).status).toBe(413);
  });
});

describe('a side that does not read', () => {
  const total = 64 * 1024 * 1024;
  const chunk = Buffer.alloc(256 * 1024, 'x');
  const bufferedMax = 16 * 1024 * 1024;

  /** Offers bytes without end for a while; how many were taken. */
  const pour = async (peer: RawPeer): Promise<number> => {
    let taken = 0;
    const more = (): void => {
      while (peer.socket.write(chunk, () => (taken += chunk.length))) if (taken > total) return;
      peer.socket.once('drain', more);
    };
    more();
    await soon(300);
    return taken;
  };

  it('holds the server back', async () => {
    const server = await begin(get('/ok'));
    client.socket.pause();
    server.send(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
    expect(await pour(server)).toBeLessThan(bufferedMax);
  });

  it('holds the client back', async () => {
    const server = await begin(post('/ok', `Content-Length: ${total}`));
    server.socket.pause();
    expect(await pour(client)).toBeLessThan(bufferedMax);
  });

  it('gets everything once it reads, in good order', async () => {
    const server = await begin(get('/ok'));
    client.socket.pause();
    const body = Buffer.from(Uint32Array.from({ length: 4 * 1024 * 1024 }, (_, i) => i).buffer);
    server.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    server.socket.write(body);
    await soon();
    const got: Buffer[] = [];
    client.socket.removeAllListeners('data').on('data', (bytes: Buffer) => got.push(bytes));
    client.socket.resume();
    for (let length = 0; length < body.length; await soon(5)) length = got.reduce((sum, each) => sum + each.length, 0);
    expect(Buffer.concat(got).subarray(-body.length).equals(body)).toBe(true);
  });
});
