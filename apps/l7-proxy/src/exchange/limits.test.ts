// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { createPlainSockets } from '../sockets/plain-sockets.ts';
import { get, ok, post, soon } from '../testing/messages.ts';
import { startProxy, type HarnessOptions, type ProxyHarness } from '../testing/proxy-harness.ts';
import type { RawPeer } from '../testing/raw-peer.ts';

let proxy: ProxyHarness;
let client: RawPeer;
const start = async (options: HarnessOptions = {}): Promise<void> => {
  proxy = await startProxy(options);
  client = await proxy.client();
};
afterEach(() => proxy.close());

describe('a timeout', () => {
  it('gives a client that dawdles with its head 408', async () => {
    await start({ limits: { headTimeoutMs: 60 } });
    const drip = setInterval(() => client.send('X'), 20);
    client.send('GET /ok HTTP/1.1\r\nHost: h\r\n');
    const answer = await client.ended();
    clearInterval(drip);
    expect(answer).toContain('HTTP/1.1 408 Request Timeout');
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 3, status: 408 }]);
  });

  it('counts a head from its own first byte, not from the last exchange', async () => {
    await start({ limits: { headTimeoutMs: 60 } });
    await soon(120);
    client.send(get('/no'));
    expect((await client.takeResponse()).status).toBe(403);
  });

  it('gives a client whose server does not answer 504', async () => {
    await start({ limits: { idleTimeoutMs: 60 } });
    client.send(get('/ok'));
    expect(await client.ended()).toContain('HTTP/1.1 504 Gateway Timeout');
    expect(await proxy.calls(1)).toMatchObject([{ verdict: 3, status: 504, path: '/ok' }]);
  });

  it.each([
    ['that asks nothing', ''],
    ['that does not send its body', post('/no', 'Content-Length: 5')],
  ])('closes the connection of a client %s', async (_what, request) => {
    await start({ limits: { idleTimeoutMs: 60 } });
    client.send(request);
    const answer = await client.ended();
    expect(client.ending).toBe('end');
    expect(answer.split('HTTP/1.1').length).toBe(request === '' ? 1 : 2);
  });

  it('gives a client whose server does not accept in time 503', async () => {
    const here = { host: '127.0.0.1', port: 0 };
    const { listen } = createPlainSockets({ listen: here, upstream: here });
    const late = (limitMs: number): Promise<never> =>
      Promise.reject(new WeirError('TIMEOUT', `The server did not accept within ${limitMs} ms`));
    await start({ server: { sockets: { listen, connect: (_flow, timeoutMs) => late(timeoutMs) } } });
    client.send(get('/ok'));
    const { status, body } = await client.takeResponse();
    expect({ status, body }).toEqual({
      status: 503,
      body: 'Service unavailable: The server did not accept within 1000 ms\r\n',
    });
  });

  it('does not disturb an exchange in which bytes flow', async () => {
    await start({ limits: { idleTimeoutMs: 100 } });
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    server.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
    for (let i = 0; i < 10; i++) {
      await soon(30);
      server.send('x');
    }
    expect(await client.take('x'.repeat(10))).toContain('200 OK');
  });
});

describe('the number of connections', () => {
  it('is limited, and a place becomes free when one ends', async () => {
    await start({ server: { connectionsMax: 1 } });
    client.send(get('/no'));
    await client.takeResponse();
    const second = await proxy.client();
    await second.ended();
    expect(second.ending).toBe('reset');
    expect(proxy.logLines.join('')).toContain('1 connections are open');
    client.socket.destroy();
    await soon();
    const third = await proxy.client();
    third.send(get('/no'));
    expect((await third.takeResponse()).status).toBe(403);
  });
});

describe('stop()', () => {
  it('ends idle connections at once and running exchanges when they are over, and takes no new connection', async () => {
    await start();
    const idle = await proxy.client();
    idle.send(get('/no'));
    await idle.takeResponse();
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    let stopped = false;
    const stopping = proxy.proxy.stop({ deadlineMs: 5_000 }).then(() => (stopped = true));
    await idle.ended();
    await expect(proxy.client()).rejects.toThrow('ECONNREFUSED');
    expect(stopped).toBe(false);
    server.send(ok('last'));
    expect(await client.ended()).toBe(ok('last'));
    await stopping;
  });

  it('ends a connection with the refusal of a request that had begun', async () => {
    await start();
    client.send('GET /no HTTP/1.1\r\n');
    await soon();
    const stopping = proxy.proxy.stop({ deadlineMs: 5_000 });
    client.send('Host: h\r\n\r\n');
    expect(await client.ended()).toContain('connection: close');
    await stopping;
  });

  it('drops after the deadline what does not end', async () => {
    await start();
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    await proxy.proxy.stop({ deadlineMs: 50 });
    await Promise.all([client.ended(), server.ended()]);
    expect(proxy.logLines.join('')).toContain('Dropped connections that did not end in time');
  });
});
