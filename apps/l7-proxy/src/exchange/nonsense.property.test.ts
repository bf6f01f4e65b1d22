// SPDX-License-Identifier: Apache-2.0
// Goal: nothing that clients and servers do to their connections brings the proxy down, or leaves anything behind. Method:
// random pieces of HTTP, nonsense, ends and resets from both sides at once; then an ordinary request.
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { get, ok, post, soon } from '../testing/messages.ts';
import { startProxy, type ProxyHarness } from '../testing/proxy-harness.ts';
import type { RawPeer } from '../testing/raw-peer.ts';

let proxy: ProxyHarness;
beforeEach(async () => {
  proxy = await startProxy({ limits: { idleTimeoutMs: 300, lingerMs: 20 } });
});
afterEach(() => proxy.close());

const nonsense = fc.string({ unit: 'binary-ascii', maxLength: 20 });
const end = fc.constantFrom('END', 'RESET', 'WAIT');
const clientAct = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(get('/ok'), get('/no'), post('/ok', 'Content-Length: 5'), 'hello') },
  fc.constantFrom(
    post('/ok', 'Transfer-Encoding: chunked'),
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    get('/ok', 'Connection: upgrade', 'Upgrade: websocket'),
    get('/ok').slice(0, 20),
    'CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n',
    '\r\n',
  ),
  nonsense,
  end,
);
const serverAct = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(ok('a'), ok(''), 'HTTP/1.1 204 No Content\r\n\r\n') },
  fc.constantFrom(
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    '1\r\nx\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    ok('abc').slice(0, -2),
    ok('abc', 'Connection: close'),
  ),
  nonsense,
  end,
);

const descriptorCount = (): number => readdirSync('/proc/self/fd').length;

async function act(peer: RawPeer, acts: readonly string[]): Promise<void> {
  peer.socket.on('error', () => undefined);
  for (const each of acts) {
    if (peer.socket.destroyed) return;
    if (each === 'WAIT') await soon(1);
    else if (each === 'RESET') peer.socket.resetAndDestroy();
    else if (each === 'END') peer.socket.end();
    else if (peer.socket.writable) peer.send(each);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('the proxy', () => {
  it('survives whatever its clients and servers do, and keeps nothing of it', async () => {
    const before = descriptorCount();
    let over = false;
    let serverActs: readonly string[] = [];
    const serve = async (): Promise<void> => {
      while (!over) await act(await proxy.server.accept(), serverActs);
    };
    const serving = serve().catch(() => undefined);
    await fc.assert(
      fc.asyncProperty(
        fc.array(clientAct, { maxLength: 8 }),
        fc.array(serverAct, { maxLength: 8 }),
        async (clientActs, acts) => {
          serverActs = acts;
          const client = await proxy.client();
          await act(client, clientActs);
          await soon(1);
          client.socket.destroy();
        },
      ),
      { numRuns: 400 },
    );
    over = true;
    (await proxy.client()).send(get('/ok'));
    await serving;
    for (let i = 0; i < 100 && proxy.proxy.connectionCount > 1; i++) await soon(20);
    expect(proxy.proxy.connectionCount).toBeLessThanOrEqual(1);
    proxy.server.close();
    for (let i = 0; i < 100 && descriptorCount() > before + 3; i++) await soon(20);
    expect(descriptorCount()).toBeLessThanOrEqual(before + 3);

    const client = await proxy.client();
    client.send(get('/no'));
    expect((await client.takeResponse()).status).toBe(403);
  });
});
