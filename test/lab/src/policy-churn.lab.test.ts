// SPDX-License-Identifier: Apache-2.0
// Policies come, change and go as fast as the agent takes them, up to a hundred a second. Traffic that another policy allows
// all the while loses not one packet to that, neither of what is open nor of what is new.
import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchange, httpServer } from './testing/http.ts';
import { fromPods, onHttp, onPort, policy, toPods, type Rule } from './testing/policy.ts';
import { expectTalking, openConnection } from './testing/reach.ts';
import { eventually } from './testing/services.ts';
import { families, useLab, type Family, type PlayedPod } from './testing/use-lab.ts';

const changes = 300;
const periodMs = 10;
const [isServer, isFriend] = [{ app: 'server' }, { app: 'friend' }];
const ports = { word: 7000, live: 7001, live6: 7002, http: 8080 };
const openings = 10;

let server: PlayedPod, friend: PlayedPod;
const test = useLab('polchurn', async ({ pod }) => {
  [server, friend] = await Promise.all([
    pod('server', { labels: isServer, ...httpServer(ports.http) }),
    pod('friend', { labels: isFriend }),
  ]);
  await server.announce({ port: ports.word, addresses: [server.ipv4, server.ipv6] }, 'word');
});

/** What allows the traffic. No other policy has anything to do with it. */
const steady = [
  policy('steady-in', isServer, {
    ingress: [
      ...[ports.word, ports.live, ports.live6].map((port) => ({ ...fromPods(isFriend), ...onPort(port, 'ANY') })),
      { ...fromPods(isFriend), ...onHttp(ports.http, { path: '/yes' }) },
    ],
  }),
  policy('steady-out', isFriend, { egress: [toPods(isServer)] }),
];

/** Rules of every kind that entries are made of, none of which is about the traffic. */
const others = (n: number): Rule[] => [
  { ...fromPods({ app: `nobody-${n}` }), ...onPort(9000 + (n % 50)) },
  {
    fromCIDRSet: [{ cidr: `192.0.2.${n % 256}/32` }, { cidr: '198.51.100.0/24', except: [`198.51.100.${n % 256}/32`] }],
  },
  { toPorts: [{ ports: [{ port: '9100', endPort: 9100 + (n % 100), protocol: 'TCP' }] }] },
  { ...fromPods({ app: 'nobody' }), ...onHttp(9200, { path: `/${n}` }) },
];

/** The file of a change: one policy for the server, then one for the friend. */
const changed = (n: number): object =>
  n % 2 === 0
    ? policy('churn-in', isServer, {
        ingress: others(n).slice(n % 4),
        ingressDeny: [{ ...fromPods({ app: 'nobody' }), ...onPort(9300 + (n % 10)) }],
      })
    : policy('churn-out', isFriend, { egress: [{ ...toPods({ app: `nobody-${n}` }), ...onPort(9000 + (n % 50)) }] });

async function churn(): Promise<void> {
  const agent = test.lab.agent();
  try {
    for (let n = 0; n < changes; n++) {
      const due = sleep(periodMs);
      const content = Buffer.from(JSON.stringify(changed(n)));
      // Every fifth time the policy goes, and comes again at its next change.
      const files = [{ name: `${n}.json`, content }];
      const { problems } = n % 10 > 7 ? await agent.deletePolicy({ files }) : await agent.importPolicy({ files });
      expect(problems).toEqual([]);
      await due;
    }
  } finally {
    agent.close();
  }
}

// What pods say to their links at any time, and nobody has to answer.
const isOfTheLink = /^(Neighbour|Multicast)/;

/** Packets dropped so far, by reason and direction. */
async function dropped(): Promise<Readonly<Record<string, number>>> {
  const agent = test.lab.agent();
  const { metrics } = await agent.listDatapathMetrics({});
  agent.close();
  const drops = metrics.filter(({ reason }) => reason !== 'forwarded' && !isOfTheLink.test(reason ?? ''));
  return Object.fromEntries(
    drops.map(({ reason, direction, packets }) => [`${reason}, ${direction}`, Number(packets)]),
  );
}

/** Drops as the monitor tells of them, and of nothing else, so that it keeps up. */
function logDrops(): { readonly seen: { readonly reason?: string | null }[]; stop(): void } {
  const agent = test.lab.agent();
  const stopping = new AbortController();
  const seen: { readonly reason?: string | null }[] = [];
  const reading = (async () => {
    for await (const event of agent.monitor({ types: ['drop'], relatedTo: [] }, { signal: stopping.signal })) {
      if (event.type === 'drop' && !isOfTheLink.test(event.reason)) seen.push(event);
    }
  })().catch(() => undefined);
  const stop = (): void => {
    stopping.abort();
    void reading.then(() => agent.close());
  };
  return { seen, stop };
}

describe('a hundred changes of policy a second', () => {
  it('cost traffic that another policy allows not one packet', async () => {
    await test.apply(...steady);
    const before = await dropped();
    const drops = logDrops();
    let isChanging = true;
    const whileChanging = async (round: (family: Family) => Promise<void>): Promise<number> => {
      let rounds = 0;
      for (; isChanging; rounds++) await round(families[rounds % 2]!);
      return rounds;
    };
    const listener = await server.listen(ports.live);
    const open = await Promise.all(
      families.map((family) =>
        openConnection(friend, { listener, target: { address: server[family], port: ports.live } }),
      ),
    );
    const [near, far] = await Promise.all([friend.bind(5000), server.bind(ports.live6)]);
    const http = await friend.connect({ address: server.ipv6, port: ports.http });
    const hears = (protocol: 'TCP' | 'UDP') => async (family: Family) => {
      const words = await friend.tally({ address: server[family], port: ports.word, protocol }, openings);
      expect(words).toEqual({ word: openings });
    };
    const [, ...rounds] = await Promise.all([
      churn().finally(() => (isChanging = false)),
      whileChanging(hears('TCP')),
      whileChanging(hears('UDP')),
      whileChanging(async () => {
        for (const { client, server: accepted } of open) await expectTalking(client, accepted);
      }),
      whileChanging(async (family) => {
        await near.send({ address: server[family], port: ports.live6 }, 'question');
        const { text, address, port } = await far.receive();
        await far.send({ address, port }, `${text} and answer`);
        expect(await near.receive()).toMatchObject({ text: 'question and answer' });
      }),
      whileChanging(async () => {
        expect(await exchange(http, '/yes')).toMatchObject({ status: 200, body: 'GET /yes' });
      }),
    ]);
    for (const count of rounds) expect(count).toBeGreaterThan(1);
    expect(await dropped()).toEqual(before);
    expect(drops.seen).toEqual([]);
    await Promise.all([...open.flatMap((ends) => [ends.client.close(), ends.server.close()]), http.close()]);
    await Promise.all([near.close(), far.close(), listener.close()]);

    // What says so does tell of drops.
    await test.apply(policy('steady-out', isFriend, { egress: [toPods({ app: 'nobody' })] }));
    const isToldOf = async (): Promise<true | undefined> => {
      const lost = friend.ask({ address: server.ipv4, port: ports.word }, 'lost', 250);
      await expect(lost).rejects.toMatchObject({ code: 'NOTHING_CAME' });
      return drops.seen.length > 0 || undefined;
    };
    await eventually('a drop is told of', isToldOf);
    drops.stop();
    expect(await dropped()).not.toEqual(before);
  });
});
