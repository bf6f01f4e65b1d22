// SPDX-License-Identifier: Apache-2.0
// A change of policy holds for what is open already: from the next packet on, whoever sends it.
import { describe, expect, it } from '@jest/globals';
import { exchange, httpServer, readAnswer, requestText } from './testing/http.ts';
import { fromPods, nobody, onHttp, onPort, policy } from './testing/policy.ts';
import type { Connection, Listener } from './testing/puppet.ts';
import { expectTalking, openConnection } from './testing/reach.ts';
import { families, useLab, type Family, type PlayedPod } from './testing/use-lab.ts';

const [isA, isB] = [{ app: 'a' }, { app: 'b' }];
const [plainPort, httpPort] = [7000, 8080];
const tightenings = {
  'the ingress of the server': policy('tight', isA, { ingress: [nobody] }),
  'the egress of the client': policy('tight', isB, { egress: [nobody] }),
};

let a: PlayedPod, b: PlayedPod, listener: Listener;
const test = useLab('open', async ({ pod }) => {
  [a, b] = await Promise.all([pod('a', { labels: isA, ...httpServer(httpPort) }), pod('b', { labels: isB })]);
  listener = await a.listen(plainPort);
});

const open = (family: Family): Promise<{ client: Connection; server: Connection }> =>
  openConnection(b, { listener, target: { address: a[family], port: plainPort } });

/** Expects that what one end says is dropped for a reason, and heard only after `then` has been done. */
async function expectHeldUp(
  { speaker, hearer, reason }: { speaker: Connection; hearer: Connection; reason: string },
  then: () => Promise<void>,
): Promise<void> {
  const since = test.events.mark();
  await speaker.send('secret');
  const drop = await test.events.find(since, { type: 'drop', sourcePort: speaker.localPort, port: hearer.localPort });
  expect(drop).toMatchObject({ reason, policies: ['default/tight'] });
  await expect(hearer.receive(6, 250)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
  await then();
  expect(await hearer.receive(6, 20_000)).toBe('secret');
}

describe.each(families)('over %s', (family) => {
  describe.each(Object.entries(tightenings))('tightening %s', (_, tight) => {
    it('cuts an open TCP connection at the next packet of the client, and loosening heals it', async () => {
      const { client, server } = await open(family);
      await expectTalking(client, server);
      await test.apply(tight);
      await expectHeldUp({ speaker: client, hearer: server, reason: 'Policy denied' }, () => test.delete(tight));
      await expectTalking(client, server);
    });

    it('cuts an open TCP connection at the next packet of the server, and loosening heals it', async () => {
      const { client, server } = await open(family);
      await expectTalking(client, server);
      await test.apply(tight);
      await expectHeldUp({ speaker: server, hearer: client, reason: 'Policy denied' }, () => test.delete(tight));
      await expectTalking(client, server);
    });

    it('cuts a UDP flow in both directions, and loosening heals it', async () => {
      const [near, far] = await Promise.all([b.bind(5000), a.bind(5001)]);
      const [toFar, toNear] = [
        { address: a[family], port: 5001 },
        { address: b[family], port: 5000 },
      ];
      await near.send(toFar, 'before');
      expect(await far.receive()).toMatchObject({ text: 'before', address: b[family] });
      await test.apply(tight);
      const since = test.events.mark();
      await Promise.all([near.send(toFar, 'lost'), far.send(toNear, 'lost')]);
      await test.events.find(since, { type: 'drop', from: 'b', address: a[family], reason: 'Policy denied' });
      await test.events.find(since, { type: 'drop', from: 'a', address: b[family], reason: 'Policy denied' });
      await test.delete(tight);
      await Promise.all([near.send(toFar, 'after'), far.send(toNear, 'after')]);
      expect([await far.receive(), await near.receive()]).toMatchObject([{ text: 'after' }, { text: 'after' }]);
      await Promise.all([near.close(), far.close()]);
    });

    it('holds up a new connection, and loosening lets its retried SYN through', async () => {
      await test.apply(tight);
      const since = test.events.mark();
      const connecting = open(family);
      await test.events.find(since, { type: 'drop', from: 'b', port: plainPort, reason: 'Policy denied' });
      await test.delete(tight);
      const { client, server } = await connecting;
      await expectTalking(client, server);
    });
  });

  it('replies to what a pod has opened pass also when its ingress is tightened meanwhile', async () => {
    const { client, server } = await open(family);
    await test.apply(policy('tight', isB, { ingress: [nobody] }));
    await expectTalking(client, server);
  });

  it('a change that has nothing to do with a connection leaves it alone', async () => {
    const { client, server } = await open(family);
    await test.apply(policy('other', { app: 'z' }, { ingress: [nobody] }));
    await test.apply(policy('tight', isA, { ingress: [{ ...fromPods(isB), ...onPort(plainPort) }] }));
    await expectTalking(client, server);
  });

  describe('a connection through the proxy', () => {
    const allowing = (path: string): object =>
      policy('tight', isA, { ingress: [{ ...fromPods(isB), ...onHttp(httpPort, { method: 'GET', path }) }] });
    const connect = (): Promise<Connection> => b.connect({ address: a[family], port: httpPort });

    it('gets 403 for the next request when the rules for requests change', async () => {
      await test.apply(allowing('/one'));
      const client = await connect();
      expect(await exchange(client, '/one')).toMatchObject({ status: 200, body: 'GET /one' });
      await test.apply(allowing('/two'));
      expect(await exchange(client, '/one')).toMatchObject({ status: 403 });
      expect(await exchange(client, '/two')).toMatchObject({ status: 200, body: 'GET /two' });
    });

    it('is cut when its client is not let in any more', async () => {
      await test.apply(allowing('/.*'));
      const client = await connect();
      await exchange(client, '/one');
      const tight = policy('tight', isA, { ingress: [nobody] });
      await test.apply(tight);
      const since = test.events.mark();
      await client.send(requestText('GET', '/two'));
      await test.events.find(since, { type: 'drop', from: 'b', port: httpPort, reason: 'Policy denied' });
      await expect(client.receive(1, 250)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
      await test.apply(allowing('/.*'));
      expect(await readAnswer(client, 20_000)).toMatchObject({ status: 200, body: 'GET /two' });
    });

    it('is cut in the middle of an answer', async () => {
      await test.apply(allowing('/.*'));
      const client = await connect();
      await client.send(requestText('GET', '/ticks'));
      await client.receive(500);
      const since = test.events.mark();
      await test.apply(policy('tight', isA, { ingress: [nobody] }));
      await test.events.find(since, { type: 'drop', to: 'b', sourcePort: httpPort, reason: 'Policy denied' });
      const rest = (await client.receive(1, 250).catch(() => '')).length;
      expect(rest).toBeLessThan(100);
      await expect(client.receive(1, 500)).rejects.toMatchObject({ code: 'NOTHING_CAME' });
      await client.close();
    });

    it('goes on when no policy needs the proxy any more', async () => {
      await test.apply(allowing('/one'));
      const client = await connect();
      expect(await exchange(client, '/two')).toMatchObject({ status: 403 });
      await test.delete(allowing('/one'));
      expect(await exchange(client, '/two')).toMatchObject({ status: 200, body: 'GET /two' });
    });

    it('is needed by a policy that comes later: the connection past it is cut, a new one is polled', async () => {
      const past = await connect();
      expect(await exchange(past, '/two')).toMatchObject({ status: 200 });
      await test.apply(allowing('/one'));
      const since = test.events.mark();
      await past.send(requestText('GET', '/two'));
      const drop = await test.events.find(since, { type: 'drop', from: 'b', port: httpPort });
      expect(drop).toMatchObject({ reasonCode: 220, policies: ['default/tight'] });
      const client = await connect();
      expect(await exchange(client, '/one')).toMatchObject({ status: 200 });
      expect(await exchange(client, '/two')).toMatchObject({ status: 403 });
      await past.close();
    });
  });
});
