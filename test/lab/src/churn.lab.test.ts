// SPDX-License-Identifier: Apache-2.0
// The agent is killed again and again, at random moments, while pods come, go and change. In the end everything that is
// there belongs to a pod that lives and works, and no policy has lapsed on the way.
import { expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { endpointTraces, inventory } from './testing/inventory.ts';
import { fromPods, onPort, policy } from './testing/policy.ts';
import { expectTalking, expectTcpEcho, openConnection, ping } from './testing/reach.ts';
import { createSeededRandom } from './testing/seeded-random.ts';
import { eventually } from './testing/services.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';

const kills = 20;
const churners = 4;
const port = 7000;
const isFriend = { app: 'friend' };
const friendsOnly = policy('friends', { app: 'server' }, { ingress: [{ ...fromPods(isFriend), ...onPort(port) }] });

let server: PlayedPod, friend: PlayedPod, stranger: PlayedPod;
const test = useLab('churn', async ({ pod }) => {
  [server, friend, stranger] = await Promise.all([
    pod('server', { labels: { app: 'server' } }),
    pod('friend', { labels: isFriend }),
    pod('stranger', { labels: { app: 'stranger' } }),
  ]);
});

/** What may happen to a call while the agent is dead. */
const forgiven = /UNAVAILABLE|TIMEOUT|CANCELLED|NOT_FOUND|FAILED_PRECONDITION/;
async function forgive(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (!forgiven.test(String((error as { code?: unknown }).code))) throw error;
    return false;
  }
}

async function consistency(): Promise<object> {
  const agent = test.lab.agent();
  try {
    const [{ endpoints }, { endpoints: inKernel }, { entries }, status] = await Promise.all([
      agent.listEndpoints({}),
      agent.listDatapathEndpoints({}),
      agent.listIpcache({}),
      agent.getStatus({}),
    ]);
    const identities = endpoints.map(({ id, identity }) => `${id}: ${identity}`).sort();
    const prefixes = new Map(entries.map(({ prefix, identity }) => [prefix, identity]));
    return {
      identities,
      inKernel: inKernel.map(({ endpointId, identity }) => `${endpointId}: ${identity}`).sort(),
      ipv4: endpoints.map(({ id, ipv4 }) => `${id}: ${prefixes.get(`${ipv4}/32`)}`).sort(),
      ipv6: endpoints.map(({ id, ipv6 }) => `${id}: ${prefixes.get(`${ipv6}/128`)}`).sort(),
      podAddresses: [...prefixes.keys()].filter((prefix) => /^10\.244\.1\.(?!1\/)\d+\/32$/.test(prefix ?? '')).length,
      allocated: [status.ipv4Allocated, status.ipv6Allocated],
      states: [...new Set(endpoints.map(({ state }) => state))],
    };
  } finally {
    agent.close();
  }
}

it(`an agent that is killed ${kills} times leaves nothing wrong`, async () => {
  const random = createSeededRandom();
  await server.echo(port, [server.ipv4, server.ipv6]);
  await test.apply(friendsOnly);
  const listener = await server.listen(port + 1);
  await test.apply(policy('more', { app: 'server' }, { ingress: [{ ...fromPods(isFriend), ...onPort(port + 1) }] }));
  const before = await inventory(test.lab);
  const open = await openConnection(friend, { listener, target: { address: server.ipv6, port: port + 1 } });

  let killing = true;
  const killer = (async () => {
    for (let times = 0; times < kills; times++) {
      // Every other time in the middle of its start, if the machine is slow; in between it gets something done.
      if (times % 2 === 0) await test.lab.up();
      await sleep(random.below(1_200));
      await test.lab.stopService('node1/agent', 'SIGKILL');
      await test.lab.startService('node1/agent');
    }
    killing = false;
  })();
  const counts = { added: 0, removed: 0, labelled: 0 };
  const churner = async (number: number): Promise<string | undefined> => {
    for (let round = 0; killing; round++) {
      const name = `churn-${number}-${round}`;
      if (!(await forgive(test.lab.addPod({ name, labels: { app: `app-${random.below(3)}` } })))) continue;
      counts.added++;
      if (await forgive(test.lab.labelPod(name, { set: { app: `app-${random.below(3)}` } }))) counts.labelled++;
      if (!killing) return name;
      if (random.below(4) === 0) await sleep(random.below(200));
      await test.lab.removePod(name);
      counts.removed++;
    }
    return undefined;
  };
  const bypasses: string[] = [];
  const intruder = async (): Promise<void> => {
    for (let round = 0; killing; round++) {
      const address = server[families[round % 2]!];
      const outcome = stranger.connect({ address, port }, 100).then(() => `reached ${address} in round ${round}`);
      bypasses.push(...(await outcome.then((text) => [text]).catch(() => [])));
    }
  };
  const [, , ...survivors] = await Promise.all([
    killer,
    intruder(),
    ...Array.from({ length: churners }, (_, number) => churner(number)),
  ]);

  try {
    await test.lab.up();
    expect(bypasses).toEqual([]);
    expect(counts.added).toBeGreaterThan(churners);
    const pods = await test.lab.pods();
    const names = ['friend', 'server', 'stranger', ...survivors.filter((name) => name !== undefined)].sort();
    expect(pods.map(({ name }) => name)).toEqual(names);
    const ids = pods.map(({ endpointId }) => endpointId).sort((a, b) => a - b);
    const traces = { files: ids, devices: ids, links: ids, interfaces: ids };
    await eventually('what was left behind is gone', async () =>
      JSON.stringify(await endpointTraces(test.lab)) === JSON.stringify(traces) ? true : undefined,
    ).catch(() => undefined);
    expect(await endpointTraces(test.lab)).toEqual(traces);
    const { identities } = (await consistency()) as { identities: string[] };
    expect(await consistency()).toEqual({
      ...{ identities, inKernel: identities, ipv4: identities, ipv6: identities },
      ...{ podAddresses: ids.length, allocated: [ids.length, ids.length], states: ['ready'] },
    });
    await expectTalking(open.client, open.server);
    for (const family of families) {
      await expectTcpEcho(friend, { address: server[family], port });
      for (const pod of pods.filter(({ name }) => name !== 'server')) {
        expect(await ping(test, '@node1', pod[family])).toBe(true);
      }
    }
    for (const name of survivors) if (name !== undefined) await test.lab.removePod(name);
    expect(await inventory(test.lab)).toEqual(before);
  } catch (error) {
    throw new Error(`with WEIR_SEED=${random.seed}, ${JSON.stringify(counts)}`, { cause: error });
  } finally {
    await test.logEventsAnew();
  }
});
