// SPDX-License-Identifier: Apache-2.0
// A policy takes the place of another as a whole: what both allow is never held up, what both forbid never passes.
import { describe, expect, it } from '@jest/globals';
import { exchange, httpServer } from './testing/http.ts';
import { fromPods, onHttp, onPort, policy } from './testing/policy.ts';
import { expectTcpDropped, expectTcpEcho, expectUdpEcho } from './testing/reach.ts';
import { families, useLab, type Family, type PlayedPod } from './testing/use-lab.ts';

const [isServer, isFriend] = [{ app: 'server' }, { app: 'friend' }];
const [echoPort, httpPort] = [7000, 8080];
const changes = 40;
const policyEntriesMax = 1_024;

let server: PlayedPod, friend: PlayedPod, stranger: PlayedPod;
const test = useLab(
  'changes',
  async ({ pod }) => {
    [server, friend, stranger] = await Promise.all([
      pod('server', { labels: isServer, ...httpServer(httpPort) }),
      pod('friend', { labels: isFriend }),
      pod('stranger', { labels: { app: 'stranger' } }),
    ]);
    await server.echo(echoPort, [server.ipv4, server.ipv6]);
  },
  { agentArguments: [`--policy-max=${policyEntriesMax}`] },
);

/** Two policies that have nothing in common but what they say of the friend, of /yes, and of everybody else. */
const version = (number: number): object =>
  policy('same', isServer, {
    ingress: [
      { ...fromPods(isFriend), ...onPort(echoPort, number % 2 === 0 ? 'ANY' : 'TCP') },
      { ...fromPods(isFriend), ...onPort(echoPort, 'UDP') },
      { ...fromPods(isFriend), ...onHttp(httpPort, { path: '/yes' }, { path: `/version-${number}` }) },
      ...(number % 2 === 0 ? [fromPods({ app: 'nobody' })] : [onPort(9)]),
    ],
  });

describe('replacing a policy again and again', () => {
  it('neither opens a gap for a stranger nor holds up a friend', async () => {
    await test.apply(version(0));
    let changing = true;
    const until = async (attempt: (family: Family) => Promise<unknown>): Promise<number> => {
      let round = 0;
      for (; changing; round++) await attempt(families[round % 2]!);
      return round;
    };
    const open = await friend.connect({ address: server.ipv6, port: httpPort });
    const [, ...rounds] = await Promise.all([
      (async () => {
        for (let number = 1; number <= changes; number++) await test.apply(version(number));
        changing = false;
      })(),
      until((family) => expectTcpEcho(friend, { address: server[family], port: echoPort })),
      until((family) => expectUdpEcho(friend, { address: server[family], port: echoPort })),
      until(async () => {
        expect((await exchange(open, '/yes')).status).toBe(200);
        expect((await exchange(open, '/no')).status).toBe(403);
      }),
      until(async (family) => {
        const connection = await friend.connect({ address: server[family], port: httpPort });
        expect((await exchange(connection, '/no')).status).toBe(403);
        expect((await exchange(connection, '/yes')).status).toBe(200);
        await connection.close();
      }),
      until((family) =>
        expect(stranger.connect({ address: server[family], port: echoPort }, 100)).rejects.toMatchObject({
          code: 'NOT_CONNECTED',
        }),
      ),
    ]);
    for (const count of rounds) expect(count).toBeGreaterThan(3);
    await open.close();
  });
});

describe('a policy that does not fit into the kernel', () => {
  const rule = (first: number): object => ({
    ports: Array.from({ length: 40 }, (_, index) => ({ port: String(first + index), protocol: 'TCP' })),
  });
  const large = policy('large', isServer, {
    ingress: [{ toPorts: Array.from({ length: 30 }, (_, index) => rule(10_000 + 40 * index)) }],
  });

  it('is refused with what there is room for, and the others stay in force', async () => {
    await test.apply(policy('small', isServer, { ingress: [{ ...fromPods(isFriend), ...onPort(echoPort) }] }));
    await expect(test.apply(large)).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: expect.stringContaining(String(policyEntriesMax)),
    });
    const agent = test.lab.agent();
    const [{ policies }, { components }] = await Promise.all([agent.getPolicy({ name: '' }), agent.getStatus({})]);
    agent.close();
    expect(policies.map(({ name }) => name)).toEqual(['small']);
    expect(components.filter(({ state }) => state !== 'Ok')).toEqual([]);
    for (const family of families) {
      const target = { address: server[family], port: echoPort };
      await expectTcpEcho(friend, target);
      await expectTcpDropped(test, { client: stranger, target });
    }
    await test.apply(policy('small', isServer, { ingress: [fromPods({ app: 'stranger' })] }));
    await expectTcpEcho(stranger, { address: server.ipv4, port: echoPort });
  });
});
