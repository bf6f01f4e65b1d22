// SPDX-License-Identifier: Apache-2.0
// Rules that look at the headers of requests, and those that put them right, between a real client and a real server.
import { describe, expect, it } from '@jest/globals';
import { authority, curl, httpServer } from './testing/http.ts';
import { fromPods, onHttp, policy, type Rule, toPods } from './testing/policy.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';

const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const port = 8080;

let server: PlayedPod;
const test = useLab('headers', async ({ pod }) => {
  [server] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(port) }),
    pod('client', { labels: isClient }),
  ]);
});

const onServer = (...http: readonly Rule[]): object =>
  policy('in', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(port, ...http) }] });
const match = (mismatch: string, value = 'alice'): Rule => ({ name: 'X-User', value, mismatch });

describe.each(families)('over %s', (family) => {
  const get = async (...fields: readonly string[]): Promise<{ status: number; fields: string[] }> => {
    const flags = fields.flatMap((field) => ['-H', field]);
    const { status, body } = await curl(
      test.lab,
      'client',
      ...flags,
      `http://${authority(server[family], port)}/header`,
    );
    if (status !== 200) return { status, fields: [] };
    const raw = JSON.parse(body) as string[];
    const pairs = raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1] ?? ''}`] : []));
    return { status, fields: pairs.filter((pair) => /^x-user:/i.test(pair)) };
  };

  it('a request passes with the headers that a rule wants, and is refused without them', async () => {
    await test.apply(
      onServer(
        { headers: ['X-Tenant'], headerMatches: [{ name: 'X-User', value: 'alice' }] },
        { headers: ['X-Token: a b'] },
      ),
    );
    expect(await get('X-Tenant: t', 'X-User: alice')).toEqual({ status: 200, fields: ['X-User: alice'] });
    expect((await get('x-token: a b')).status).toBe(200);
    const others = [['X-Tenant: t'], ['X-User: alice'], ['X-Tenant: t', 'X-User: bob'], ['X-Token: a'], []];
    for (const fields of others) expect([fields, (await get(...fields)).status]).toEqual([fields, 403]);
    // Two that say different things are not one that says the right thing.
    expect((await get('X-Tenant: t', 'X-User: alice', 'X-User: bob')).status).toBe(403);
  });

  it.each([
    ['LOG', ['X-User: bob'], ['X-User: bob']],
    ['ADD', ['X-User: bob'], ['X-User: bob', 'x-user: alice']],
    ['DELETE', ['X-User: bob', 'x-USER: eve'], []],
    ['REPLACE', ['X-User: bob', 'X-User: alice'], ['x-user: alice']],
    ['REPLACE', [], ['x-user: alice']],
  ])('with %s, of %j the server sees %j, and the monitor tells of it', async (mismatch, sent, expected) => {
    await test.apply(onServer({ headerMatches: [match(mismatch)] }));
    const since = test.events.mark();
    expect(await get(...sent)).toEqual({ status: 200, fields: expected });
    const event = await test.events.find(since, {
      type: 'l7',
      verdict: 'forwarded',
      to: 'server',
      policies: 'default/in',
    });
    const found = sent.map((field) => field.split(': ')[1]).join(',');
    const instead = sent.length === 0 ? 'where there was none' : `instead of "${found}"`;
    expect(event.http?.headerDifferences).toEqual([`${mismatch} x-user: "alice" ${instead}`]);
    expect(await get('X-User: alice')).toEqual({ status: 200, fields: ['X-User: alice'] });
  });

  it("what the client's rules put right, the server's rules see", async () => {
    const toServer = { ...toPods(isServer), ...onHttp(port, { headerMatches: [match('REPLACE')] }) };
    await test.apply(policy('out', isClient, { egress: [toServer] }), onServer({ headers: ['X-User: alice'] }));
    expect(await get('X-User: bob')).toEqual({ status: 200, fields: ['x-user: alice'] });
  });
});
