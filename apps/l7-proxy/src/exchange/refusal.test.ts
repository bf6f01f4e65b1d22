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

/** The next request on the client's connection is served as if nothing had been. */
const expectKept = async (): Promise<void> => {
  client.send(get('/ok'));
  const server = await proxy.server.accept();
  expect(await server.takeHead()).toBe(get('/ok'));
  server.send(ok('kept'));
  expect((await client.takeResponse()).body).toBe('kept');
};

describe('a refused request', () => {
  it('gets 403 "Access denied", and the connection lasts', async () => {
    client.send(get('/no'));
    const { status, head, body } = await client.takeResponse();
    expect({ status, body }).toEqual({ status: 403, body: 'Access denied\r\n' });
    expect(head).toMatch(
      /^HTTP\/1\.1 403 Forbidden\r\ncontent-length: 15\r\ncontent-type: text\/plain\r\ndate: .* GMT\r\n\r\n$/,
    );
    await expectKept();
  });

  it('does not reach the server, not even as a connection', async () => {
    client.send(get('/no'));
    await client.takeResponse();
    await soon();
    expect(proxy.server.acceptedCount).toBe(0);
  });

  it('is logged with the rule set that refuses it', async () => {
    client.send(get('/no?x'));
    await client.takeResponse();
    expect(await proxy.calls(1)).toMatchObject([
      {
        verdict: 2,
        status: 403,
        path: '/no?x',
        deniedByRuleSet: 1,
        reason: 'no rule of ingress rule set 1 allows the request',
      },
    ]);
  });

  it('gets only the head of the answer when it is HEAD', async () => {
    client.send(get('/no').replace('GET', 'HEAD') + get('/no'));
    expect(await client.takeHead()).toContain('content-length: 15');
    expect((await client.takeResponse()).body).toBe('Access denied\r\n');
  });

  it.each([
    ['with Content-Length', post('/no', 'Content-Length: 5'), 'GET /'],
    ['in chunks', post('/no', 'Transfer-Encoding: chunked'), '5\r\nGET /\r\n0\r\n\r\n'],
  ])('keeps its connection after a short body %s, which is thrown away', async (_what, head, body) => {
    client.send(head);
    await client.takeResponse();
    client.send(body);
    await expectKept();
    client.send(head + body + head + body);
    await client.takeResponse();
    await client.takeResponse();
  });

  it.each([
    ['a body that is too long to throw away', post('/no', 'Content-Length: 1025')],
    ['a body that may come or not', post('/no', 'Content-Length: 5', 'Expect: 100-continue')],
    ['Connection: close', get('/no', 'Connection: close')],
    ['HTTP/1.0', 'GET /no HTTP/1.0\r\n\r\n'],
    ['CONNECT', 'CONNECT no:1 HTTP/1.1\r\nHost: no:1\r\n\r\n'],
  ])('loses its connection with %s', async (_what, request) => {
    await proxy.allow({ path: '/ok' });
    client.send(request);
    const answer = await client.ended();
    expect(answer).toMatch(/^HTTP\/1\.1 403 [^]*connection: close\r\n[^]*Access denied\r\n$/);
    expect(client.ending).toBe('end');
  });

  it('loses its connection when chunks turn out too long', async () => {
    client.send(post('/no', 'Transfer-Encoding: chunked'));
    await client.takeResponse();
    client.send('400\r\n' + 'x'.repeat(1024) + '\r\n');
    await client.ended();
    expect(client.ending).toBe('end');
  });

  it('reads its answer although it is still sending what nobody wants', async () => {
    client.send(post('/no', 'Content-Length: 10000000') + 'x'.repeat(5_000_000));
    expect((await client.takeResponse()).status).toBe(403);
  });

  it('in HTTP/1.0 with keep-alive is told that the connection lasts', async () => {
    client.send('GET /no HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    expect((await client.takeResponse()).head).toContain('connection: keep-alive');
    await expectKept();
  });
});

describe('a policy that changes under a running connection', () => {
  it('holds for its next request when rules change', async () => {
    await expectKept();
    await proxy.allow({ path: '/other' });
    client.send(get('/ok'));
    expect((await client.takeResponse()).status).toBe(403);
    await proxy.allow({ path: '/ok' });
    client.send(get('/ok'));
    await soon();
    expect((await proxy.calls(2)).map(({ verdict }) => verdict)).toEqual([1, 2]);
  });

  it('holds for its next request when the datapath decides anew, with the identities that it says', async () => {
    await expectKept();
    const identities = { sourceIdentity: 301, destinationIdentity: 401 };
    proxy.flows.set({ ...identities, egressRuleSet: 2, ingressRuleSet: 0 });
    client.send(get('/ok'));
    await client.takeResponse();
    const [, call] = await proxy.calls(2);
    expect(call).toMatchObject({ ...identities, egressRuleSet: 2, deniedByRuleSet: 2, verdict: 2 });
    expect(call?.reason).toBe('egress rule set 2 is not known here');
  });

  it('does not reach into an exchange that has been allowed', async () => {
    client.send(get('/ok'));
    const server = await proxy.server.accept();
    await server.takeHead();
    await proxy.allow({ path: '/other' });
    server.send(ok('done'));
    expect((await client.takeResponse()).body).toBe('done');
  });

  it('resets the connection at its next request when the datapath does not know it any more', async () => {
    await expectKept();
    proxy.flows.set(undefined);
    client.send(get('/ok'));
    await client.ended();
    expect(client.ending).toBe('reset');
    expect(proxy.logLines.join('')).toContain('Reset a connection that the datapath gave up');
  });

  it('is asked for again as long as the entry is older than the datapath', async () => {
    // The packet of a request may have passed just before a change; the one after it brings the entry up to date.
    const current = proxy.flows.lookup({ source: '', sourcePort: 0, destination: '', destinationPort: 0 });
    const stale = { ...current!, revision: current!.revision - 1 };
    const lookup = proxy.flows.lookup;
    let fresh = false;
    Object.assign(proxy.flows, { lookup: (flow: never) => (fresh ? lookup(flow) : stale) });
    client = await proxy.client();
    await expectKept();
    fresh = true;
    proxy.flows.set({ sourceIdentity: 1, destinationIdentity: 2, egressRuleSet: 9, ingressRuleSet: 0 });
    fresh = false;
    Object.assign(proxy.flows, { lookup: () => ({ ...stale }) });
    client.send(get('/no'));
    await client.takeResponse();
    Object.assign(proxy.flows, { lookup });
    client.send(get('/ok'));
    await client.takeResponse();
    const calls = await proxy.calls(3);
    expect(calls.map(({ deniedByRuleSet }) => deniedByRuleSet ?? 0)).toEqual([0, 1, 9]);
  });
});

describe('a connection that the datapath has not handed over', () => {
  it('is reset before anything of it is read', async () => {
    proxy.flows.set(undefined);
    const stranger = await proxy.client();
    stranger.send(get('/ok'));
    await stranger.ended();
    expect(stranger.ending).toBe('reset');
    expect(proxy.server.acceptedCount).toBe(0);
    expect(proxy.logLines.join('')).toContain('the datapath has not handed it over');
  });
});
