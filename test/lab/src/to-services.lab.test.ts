// SPDX-License-Identifier: Apache-2.0
// Egress to what is behind a service, by its name and by its labels, while backends and services come and go.
import { beforeAll, describe, it } from '@jest/globals';
import { policy } from './testing/policy.ts';
import { expectTalking, expectTcpDropped, expectTcpEcho, expectUdpEcho, openConnection } from './testing/reach.ts';
import { serviceApi } from './testing/service-api.ts';
import { kill } from './testing/services.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';
import { giveWorld } from './testing/world-address.ts';

const port = 7000;
const livePort = 7100;
const servicePort = 80;
const address = { ipv4: '10.96.0.10', ipv6: 'fd00:10:96::a' };
// Addresses of the world besides its own.
const outside = [
  { ipv4: '172.31.0.3', ipv6: 'fd00:172:31::3' },
  { ipv4: '172.31.0.4', ipv6: 'fd00:172:31::4' },
] as const;

const at = (place: string, number = port): string =>
  place.includes(':') ? `[${place}]:${number}` : `${place}:${number}`;
const both = (place: Readonly<Record<Family, string>>, number = port): string[] =>
  families.map((family) => at(place[family], number));
const frontends = both(address, servicePort);

let client: PlayedPod, db: PlayedPod, other: PlayedPod, world: PlayedHost;
let services: ReturnType<typeof serviceApi>;
const test = useLab('toservices', async ({ lab, pod, host }) => {
  services = serviceApi(lab);
  await giveWorld(
    lab,
    outside.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  );
  const make = (app: string): Promise<PlayedPod> => pod(app, { labels: { app } });
  [client, db, other] = await Promise.all([make('client'), make('db'), make('other')]);
  world = await host('@world');
  await Promise.all([db, other].map((each) => each.echo(port, [each.ipv4, each.ipv6])));
  await world.echo(
    port,
    outside.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
  );
});

const toServices = (service: object): object =>
  policy('out', { app: 'client' }, { egress: [{ toServices: [service] }] });
const byName = toServices({ k8sService: { serviceName: 'store', namespace: 'default' } });
const byLabels = toServices({ k8sServiceSelector: { selector: { matchLabels: { env: 'prod' } } } });

/** That the client reaches a place over both protocols and families, or is kept from it. */
async function expectReach(place: Readonly<Record<Family, string>>, outcome: 'reached' | 'dropped'): Promise<void> {
  for (const family of families) {
    const target = { address: place[family], port };
    if (outcome === 'dropped') await expectTcpDropped(test, { client, target });
    else await Promise.all([expectTcpEcho(client, target), expectUdpEcho(client, target)]);
  }
}

const expectService = (): Promise<unknown> =>
  Promise.all(families.map((family) => expectTcpEcho(client, { address: address[family], port: servicePort })));

describe('a service with a selector', () => {
  const store = (app: string): Promise<void> =>
    services.set('store', { frontends, backends: both(app === 'db' ? db : other), selector: { app } });

  it('by name is its pods, through the service and by themselves', async () => {
    await test.apply(byName);
    await expectReach(db, 'dropped');
    await store('db');
    await expectReach(db, 'reached');
    await expectReach(other, 'dropped');
    await expectService();
    await store('other');
    await expectReach(db, 'dropped');
    await expectReach(other, 'reached');
    await expectService();
    await services.delete('store');
    await expectReach(other, 'dropped');
  });

  it('by its labels is one as long as it has them', async () => {
    const labelled = (labels: Readonly<Record<string, string>>): Promise<void> =>
      services.set('store', { frontends, backends: both(db), selector: { app: 'db' }, labels });
    await labelled({ env: 'prod' });
    await test.apply(byLabels);
    await expectReach(db, 'reached');
    await labelled({ env: 'test' });
    await expectReach(db, 'dropped');
    await services.delete('store');
  });
});

describe('a service without a selector', () => {
  const [first, second] = outside;
  const store = (...places: readonly Readonly<Record<Family, string>>[]): Promise<void> =>
    services.set('store', { frontends, backends: places.flatMap((place) => both(place)) });
  beforeAll(() => store(first));

  it('is the addresses of its backends, as they come and go', async () => {
    await test.apply(byName);
    await expectReach(first, 'reached');
    await expectReach(second, 'dropped');
    await expectService();
    await store(first, second);
    await expectReach(first, 'reached');
    await expectReach(second, 'reached');
    await store(second);
    await expectReach(first, 'dropped');
    await expectReach(second, 'reached');
    await expectReach(db, 'dropped');
  });

  it('is cut from what is open to a backend that goes, and open again when it comes back', async () => {
    await store(first);
    await test.apply(byName);
    const listener = await world.listen(livePort);
    const open = await Promise.all(
      families.map((family) =>
        openConnection(client, { listener, target: { address: first[family], port: livePort } }),
      ),
    );
    for (const { client: near, server } of open) await expectTalking(near, server);
    await store(second);
    const since = test.events.mark();
    for (const [index, { client: near }] of open.entries()) {
      await near.send('secret');
      const target = first[families[index]!];
      await test.events.find(since, { type: 'drop', from: 'client', address: target, reason: 'Policy denied' });
    }
    await store(first, second);
    for (const { server } of open) await server.receive(6, 20_000);
    await Promise.all(open.flatMap((ends) => [ends.client.close(), ends.server.close()]));
    await listener.close();
  });

  it('is known to an agent that has died and come back', async () => {
    await store(first);
    await test.apply(byName);
    await kill(test.lab, 'node1/agent');
    await test.lab.up();
    await test.logEventsAnew();
    await expectReach(first, 'reached');
    await expectReach(second, 'dropped');
    await store(second);
    await expectReach(first, 'dropped');
    await expectReach(second, 'reached');
  });
});
