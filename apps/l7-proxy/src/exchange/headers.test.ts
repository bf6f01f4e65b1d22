// SPDX-License-Identifier: Apache-2.0
// Rules that look at headers, and those that put them right: what the server gets is what every recipient reads as the
// rules want it, and where one request ends and the next begins is as before.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { HeaderMismatch } from '../rules/header-rule.ts';
import { get, ok, post } from '../testing/messages.ts';
import { type ProxyHarness, startProxy } from '../testing/proxy-harness.ts';
import type { RawPeer } from '../testing/raw-peer.ts';

let proxy: ProxyHarness;
let client: RawPeer;
let server: RawPeer | undefined;
beforeEach(async () => {
  proxy = await startProxy();
  client = await proxy.client();
  server = undefined;
});
afterEach(() => proxy.close());

/** What the server gets of a request. */
async function forwarded(request: string): Promise<string> {
  client.send(request);
  server ??= await proxy.server.accept();
  const head = await server.takeHead();
  server.send(ok('x'));
  expect((await client.takeResponse()).status).toBe(200);
  return head;
}

async function refused(request: string): Promise<void> {
  client.send(request);
  expect((await client.takeResponse()).status).toBe(403);
}

const repair = (mismatch: HeaderMismatch, name = 'x-user', value = 'alice') => ({
  headerMatches: [{ name, value, mismatch }],
});

describe('a rule with conditions on headers', () => {
  it('lets requests pass that have all of them, whatever their case and the blanks around them', async () => {
    await proxy.allow({ headers: [{ name: 'x-tenant' }, { name: 'x-token', value: 'a b' }] });
    const good = get('/ok', 'X-TENANT: ', 'x-Token: \t a b \t');
    expect(await forwarded(good)).toBe(good);
    await refused(get('/ok', 'X-Tenant: t'));
    await refused(get('/ok', 'X-Tenant: t', 'X-Token: A b'));
    await refused(get('/ok', 'X-Token: a b'));
  });

  it('judges each request by its own headers, also where all else is the same', async () => {
    await proxy.allow({ headers: [{ name: 'x-token', value: 'a' }] });
    for (let round = 0; round < 3; round++) {
      await forwarded(get('/ok', 'X-Token: a'));
      await refused(get('/ok', 'X-Token: b'));
    }
  });

  it('takes several fields of a header for one with commas, so that none of them can be slipped in', async () => {
    await proxy.allow({ headers: [{ name: 'x-token', value: 'a,b' }] });
    await refused(get('/ok', 'X-Token: a,b', 'X-Token: c'));
    await refused(get('/ok', 'X-Token: a'));
    await forwarded(get('/ok', 'X-Token: a', 'X-Token: b'));
  });

  it('does not count a header that the next recipient is to take out', async () => {
    await proxy.allow({ headers: [{ name: 'x-token', value: 'a' }] });
    await refused(get('/ok', 'X-Token: a', 'Connection: keep-alive, X-TOKEN'));
  });

  it('looks at the host that the request is for', async () => {
    await proxy.allow({ headers: [{ name: 'host', value: 'h' }] });
    await forwarded(get('/ok'));
    await refused(get('/ok').replace('Host: h', 'Host: other'));
  });

  it('closes when trailers bring in a header that a rule has looked at', async () => {
    await proxy.allow({ headers: [{ name: 'x-token', value: 'a' }] });
    client.send(`${post('/ok', 'X-Token: a', 'Transfer-Encoding: chunked')}0\r\nX-Other: 1\r\nx-TOKEN: b\r\n\r\n`);
    expect(await client.takeHead()).toContain('400 Bad Request');
    expect((await proxy.calls(1))[0]).toMatchObject({ verdict: 3, status: 400 });
  });
});

describe('a header that is not as a rule wants it', () => {
  it.each<[HeaderMismatch, string[], string[]]>([
    ['LOG', ['X-User: bob', 'Accept: a'], ['X-User: bob', 'Accept: a']],
    ['ADD', ['X-User: bob', 'Accept: a'], ['X-User: bob', 'Accept: a', 'x-user: alice']],
    ['ADD', ['Accept: a'], ['Accept: a', 'x-user: alice']],
    ['DELETE', ['x-USER: bob', 'Accept: a', 'X-User:'], ['Accept: a']],
    ['DELETE', ['Accept: a'], ['Accept: a']],
    ['REPLACE', ['X-User: bob', 'Accept: a', 'X-User: alice'], ['Accept: a', 'x-user: alice']],
    ['REPLACE', ['Accept: a'], ['Accept: a', 'x-user: alice']],
  ])('%s: %j reach the server as %j', async (mismatch, sent, expected) => {
    await proxy.allow(repair(mismatch));
    expect(await forwarded(get('/ok', ...sent))).toBe(get('/ok', ...expected));
  });

  it.each<HeaderMismatch>(['LOG', 'ADD', 'DELETE', 'REPLACE'])('%s leaves one alone that is', async (mismatch) => {
    await proxy.allow(repair(mismatch));
    expect(await forwarded(get('/ok', 'X-User: alice'))).toBe(get('/ok', 'X-User: alice'));
  });

  it('is in the access log, with what was done', async () => {
    await proxy.allow(repair('REPLACE'));
    await forwarded(get('/ok', 'X-User: bob', `X-User: ${'c'.repeat(300)}`));
    await forwarded(get('/ok'));
    await forwarded(get('/ok', 'X-User: alice'));
    const wanted = { name: 'x-user', wanted: 'alice', mismatch: 4 };
    expect((await proxy.calls(3)).map(({ headerDifferences }) => headerDifferences)).toMatchObject([
      [{ ...wanted, found: `bob,${'c'.repeat(251)}…`, present: true }],
      [{ ...wanted, found: '', present: false }],
      [],
    ]);
  });

  it('is put right by every rule that matches the request, and by no other', async () => {
    await proxy.allow(
      { path: '/ok', ...repair('ADD', 'x-a', '1') },
      { path: '/.*', ...repair('ADD', 'x-b', '2') },
      { path: '/other', ...repair('ADD', 'x-c', '3') },
      { path: '/ok', headers: [{ name: 'x-a' }], ...repair('ADD', 'x-d', '4') },
    );
    expect(await forwarded(get('/ok'))).toBe(get('/ok', 'x-a: 1', 'x-b: 2'));
  });

  it('is not put right where another rule refuses the request', async () => {
    await proxy.allow({ method: 'PUT', ...repair('REPLACE') });
    await refused(get('/ok', 'X-User: bob'));
    expect((await proxy.calls(1))[0]).toMatchObject({ verdict: 2, headerDifferences: [] });
  });

  it('cannot be kept from the server by naming it in Connection', async () => {
    await proxy.allow(repair('REPLACE'));
    await refused(get('/ok', 'X-User: bob', 'Connection: x-user'));
    await refused(get('/ok', 'Connection: close,', 'Connection: , X-User ,'));
  });

  it('is put right for the sender first, and the receiver sees that', async () => {
    const rule = (id: number, http: object) => ({ id, http: [{ method: '', path: '', host: '', ...http }] });
    const both = [rule(1, { headers: [{ name: 'x-user', value: 'alice' }] }), rule(2, repair('REPLACE'))];
    await proxy.ruleSets.apply({ snapshot: true, upserted: both, deleted: [] });
    proxy.flows.set({ sourceIdentity: 300, destinationIdentity: 400, egressRuleSet: 2, ingressRuleSet: 1 });
    client = await proxy.client();
    expect(await forwarded(get('/ok', 'X-User: bob'))).toBe(get('/ok', 'x-user: alice'));
  });

  it('leaves the body and the next request where they were', async () => {
    await proxy.allow(repair('REPLACE'));
    const body = 'GET /no HTTP/1.1\r\n';
    client.send(post('/ok', 'X-User: bob', `Content-Length: ${body.length}`) + body + get('/ok', 'X-User: eve'));
    server = await proxy.server.accept();
    expect(await server.takeHead()).toBe(post('/ok', `Content-Length: ${body.length}`, 'x-user: alice'));
    expect(await server.take('\r\n')).toBe(body);
    server.send(ok('one'));
    expect((await client.takeResponse()).body).toBe('one');
    expect(await server.takeHead()).toBe(get('/ok', 'x-user: alice'));
  });

  it('is put right however the head is cut, and beside an upgrade', async () => {
    await proxy.allow(repair('REPLACE'));
    const head = get('/ok', 'X-User: bob', 'Upgrade: websocket', 'Connection: Upgrade');
    for (const byte of head) client.send(byte);
    server = await proxy.server.accept();
    expect(await server.takeHead()).toBe(get('/ok', 'Upgrade: websocket', 'Connection: Upgrade', 'x-user: alice'));
  });

  it.each([
    [repair('REPLACE', 'content-length', '5'), 'The header "content-length" cannot be changed'],
    [repair('ADD', 'transfer-encoding', 'chunked'), 'cannot be changed'],
    [repair('DELETE', 'host', 'x'), 'cannot be changed'],
    [repair('ADD', 'x-a', 'b\r\nhost: c'), 'is not the value of a header'],
    [repair('ADD', 'x-a ', 'b'), 'is not the name of a header'],
    [repair('ADD', 'X-A', 'b'), 'a token in lower case'],
    [{ headers: [{ name: 'x:y' }] }, 'is not the name of a header'],
  ])('that nobody may write makes its rule set refuse everything: %j', async (rule, message) => {
    await proxy.allow(rule);
    expect(proxy.ruleSets.get(1)?.problem?.message).toContain(message);
    await refused(get('/ok'));
  });
});
