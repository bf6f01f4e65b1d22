// SPDX-License-Identifier: Apache-2.0
// The l7-proxy may die, and so may the agent: rules for requests hold all the while, and nothing goes past them.
import { describe, expect, it } from '@jest/globals';
import { authority, curl, exchange, httpServer } from './testing/http.ts';
import { fromPods, onHttp, policy } from './testing/policy.ts';
import type { Connection } from './testing/puppet.ts';
import { expectTcpDropped, expectTcpEcho } from './testing/reach.ts';
import { eventually, kill, pidOf, without } from './testing/services.ts';
import { families, useLab, type Family, type PlayedPod } from './testing/use-lab.ts';

const isServer = { app: 'server' };
const isClient = { app: 'client' };
const [echoPort, httpPort] = [7000, 8080];

let server: PlayedPod, client: PlayedPod;
const test = useLab('proxydeath', async ({ pod }) => {
  [server, client] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(httpPort) }),
    pod('client', { labels: isClient }),
  ]);
  await server.echo(echoPort, [server.ipv4, server.ipv6]);
});

const allow = (path: string): Promise<void> =>
  test.apply(
    policy('rules', isServer, {
      ingress: [
        { ...fromPods(isClient), ...onHttp(httpPort, { path: `${path}|/count` }) },
        { ...fromPods(isClient), toPorts: [{ ports: [{ port: String(echoPort), protocol: 'TCP' }] }] },
      ],
    }),
  );
const connect = (family: Family): Promise<Connection> => client.connect({ address: server[family], port: httpPort });
const get = async (family: Family, path: string): Promise<number> =>
  (await curl(test.lab, 'client', `http://${authority(server[family], httpPort)}${path}`)).status;
/** As the server itself sees it, past every policy. */
const count = async (): Promise<number> =>
  Number((await curl(test.lab, 'server', `http://127.0.0.1:${httpPort}/count`)).body);

async function expectPoliced(family: Family, rules: { allowed: string; refused: string }): Promise<void> {
  expect([await get(family, rules.allowed), await get(family, rules.refused)]).toEqual([200, 403]);
}

describe.each(families)('over %s', (family) => {
  it('a proxy that was killed is started again, and keeps the rules', async () => {
    await allow('/yes');
    const before = await pidOf(test.lab, 'node1/l7-proxy');
    await kill(test.lab, 'node1/l7-proxy');
    await test.lab.up();
    expect(await pidOf(test.lab, 'node1/l7-proxy')).not.toBe(before);
    await expectPoliced(family, { allowed: '/yes', refused: '/no' });
  });

  it('without a proxy its ports refuse everything, allowed or not, and other ports go on', async () => {
    await allow('/yes');
    const requests = await count();
    await without(test.lab, ['node1/l7-proxy'], async () => {
      const target = { address: server[family], port: httpPort };
      await expectTcpDropped(test, { client, target, reason: 'Socket lookup failed' });
      await expectTcpEcho(client, { address: server[family], port: echoPort });
      expect(await count()).toBe(requests + 1);
    });
    await expectPoliced(family, { allowed: '/yes', refused: '/no' });
  });

  it('the connections of a proxy that was killed end, and none of them goes past it', async () => {
    await allow('/yes');
    const connection = await connect(family);
    expect(await exchange(connection, '/yes')).toMatchObject({ status: 200 });
    const requests = await count();
    await without(test.lab, ['node1/l7-proxy'], async () => {
      await connection.send('GET /yes HTTP/1.1\r\nhost: server\r\n\r\n').catch(() => undefined);
      await expect(connection.receive(1, 1_000)).rejects.toMatchObject({
        code: expect.stringMatching(/^(CLOSED|ECONNRESET|EPIPE|NOTHING_CAME)$/),
      });
      expect(await count()).toBe(requests + 1);
    });
    await connection.close();
  });

  it('a SYN that came while there was no proxy gets through by itself when there is one', async () => {
    await allow('/yes');
    let connecting: Promise<Connection> | undefined;
    await without(test.lab, ['node1/l7-proxy'], async () => {
      const since = test.events.mark();
      connecting = connect(family);
      await test.events.find(since, { type: 'drop', from: 'client', port: httpPort, reason: 'Socket lookup failed' });
    });
    expect(await exchange(await connecting!, '/yes')).toMatchObject({ status: 200 });
  });

  it('rules that change while there is no proxy hold as soon as there is one', async () => {
    await allow('/one');
    await without(test.lab, ['node1/l7-proxy'], () => allow('/two'));
    await expectPoliced(family, { allowed: '/two', refused: '/one' });
  });

  it('without an agent the proxy goes on with its last rules, also one that was started since', async () => {
    await allow('/yes');
    const connection = await connect(family);
    expect(await exchange(connection, '/yes')).toMatchObject({ status: 200 });
    await without(test.lab, ['node1/agent'], async () => {
      await expectPoliced(family, { allowed: '/yes', refused: '/no' });
      expect(await exchange(connection, '/no')).toMatchObject({ status: 403 });
      expect(await exchange(connection, '/yes')).toMatchObject({ status: 200 });
      await kill(test.lab, 'node1/l7-proxy');
      await eventually('the new proxy serves', async () => (await get(family, '/yes')) === 200 || undefined);
      await expectPoliced(family, { allowed: '/yes', refused: '/no' });
    });
    await test.logEventsAnew();
    await allow('/no');
    await expectPoliced(family, { allowed: '/no', refused: '/yes' });
  });

  it('a connection through the proxy outlives the agent, and follows the rules of the next one', async () => {
    await allow('/one');
    const connection = await connect(family);
    for (let times = 0; times < 3; times++) {
      expect(await exchange(connection, '/one')).toMatchObject({ status: 200 });
      await kill(test.lab, 'node1/agent');
      expect(await exchange(connection, '/one')).toMatchObject({ status: 200 });
      expect(await exchange(connection, '/two')).toMatchObject({ status: 403 });
      await test.lab.up();
    }
    await allow('/two');
    expect(await exchange(connection, '/one')).toMatchObject({ status: 403 });
    expect(await exchange(connection, '/two')).toMatchObject({ status: 200 });
    await test.logEventsAnew();
  });
});
