// SPDX-License-Identifier: Apache-2.0
// Services for callers from outside: at a port of a node, and at an address that is routed to one.
import { describe, expect, it } from '@jest/globals';
import { fromEntities, onPort, policy } from './testing/policy.ts';
import { expectTalking, expectTcpEcho, expectUdpEcho, openConnection } from './testing/reach.ts';
import { serviceApi, type ServiceApi } from './testing/service-api.ts';
import { without } from './testing/services.ts';
import { families, useLab, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';

const [wordPort, echoPort, peerPort, closedPort, nodePort] = [7000, 7001, 7002, 7009, 30_080];
const node1 = { ipv4: '172.31.0.11', ipv6: 'fd00:172:31::11' } as const;
/** Nobody has it; the world's way to it leads to the node. */
const external = { ipv4: '203.0.113.80', ipv6: 'fd00:113::80' } as const;

describe.each(['direct', 'overlay'] as const)('with %s routing', (routing) => {
  let world: PlayedHost, near: PlayedPod, far: PlayedPod, services: ServiceApi;
  const test = useLab(
    `out${routing}`,
    async ({ pod, host, lab }) => {
      [world, near, far] = await Promise.all([
        host('@world'),
        pod('near', { node: 'node1', labels: { app: 'near' } }),
        pod('far', { node: 'node2', labels: { app: 'far' } }),
      ]);
      for (const each of [near, far]) {
        const addresses = [each.ipv4, each.ipv6];
        await each.announce({ port: wordPort, addresses }, each.name);
        await each.echo(echoPort, addresses);
      }
      const routes = families.map((family) => `ip route add ${external[family]} via ${node1[family]}`);
      const { stderr } = await lab.exec('@world', ['sh', '-ec', routes.join('\n')]);
      expect(stderr).toBe('');
      services = serviceApi(lab);
    },
    { nodeCount: 2, routing },
  );

  const set = (servers: readonly PlayedPod[], port: number, { state = 'active' } = {}): Promise<void> =>
    services.set('outside', {
      frontends: families.flatMap((family) =>
        [node1[family], external[family]].flatMap((address) =>
          ['TCP', 'UDP'].map((protocol) => ({ address, port: nodePort, protocol, scope: 'external' })),
        ),
      ),
      backends: servers.flatMap((server) => families.map((family) => ({ address: server[family], port, state }))),
    });

  describe.each(families)('over %s', (family) => {
    const target = { address: node1[family], port: nodePort };

    it.each([
      ['the node', node1[family]],
      ['another address', external[family]],
    ])('a port of %s leads to all backends', async (_, address) => {
      await set([near, far], wordPort);
      for (const protocol of ['TCP', 'UDP'] as const) {
        const words = await world.tally({ address, port: nodePort, protocol }, 60);
        // Sixty times the same one of two: once in 10¹⁸ runs.
        expect(Object.keys(words).sort()).toEqual(['far', 'near']);
      }
      await set([near, far], echoPort);
      for (let time = 0; time < 4; time++) {
        await expectTcpEcho(world, { address, port: nodePort });
        await expectUdpEcho(world, { address, port: nodePort });
      }
    });

    it.each([
      ['on the node sees the caller', () => near, () => world[family]],
      ['elsewhere sees the node', () => far, () => node1[family]],
    ] as const)('a backend %s, and they say as much as they like', async (_, server, seen) => {
      await set([server()], peerPort);
      const listener = await server().listen(peerPort);
      const open = await openConnection(world, { listener, target });
      expect(open.server.remoteAddress).toBe(seen());
      expect([open.client.remoteAddress, open.client.remotePort]).toEqual([node1[family], nodePort]);
      await expectTalking(open.client, open.server);
      const [sent, received] = await Promise.all([open.client.pour(1 << 20), open.server.drain(1 << 20)]);
      expect(received).toBe(sent);
      const [back, returned] = await Promise.all([open.server.pour(1 << 20), open.client.drain(1 << 20)]);
      expect(returned).toBe(back);
      await listener.close();
    });

    // What the world sends is as large as its link takes, and does not fit into the overlay.
    it.each(routing === 'overlay' ? [() => near] : [() => near, () => far])(
      'fragments pass in both directions',
      async (server) => {
        await set([server()], echoPort);
        const big = 'x'.repeat(4_000);
        expect(await world.ask(target, big)).toBe(big);
      },
    );

    it('a closed port of a backend is told of', async () => {
      for (const server of [near, far]) {
        await set([server], closedPort);
        await expect(world.connect(target)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
        await expect(world.ask(target, 'anybody?')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      }
    });

    it('connections outlive the drain and the end of their backend, and the agent', async () => {
      for (const [server, next] of [
        [near, far],
        [far, near],
      ] as const) {
        await set([server], echoPort);
        const connection = await world.connect(target);
        const talk = async (): Promise<void> => {
          await connection.send('still there?');
          expect(await connection.receive(12)).toBe('still there?');
        };
        await talk();
        await set([next], echoPort);
        await talk();
        await expectTcpEcho(world, target);
        await without(test.lab, ['node1/agent'], async () => {
          await talk();
          await expectTcpEcho(world, target);
          await expectUdpEcho(world, target);
        });
        await test.logEventsAnew();
        await talk();
        await connection.close();
      }
    });

    it('policy of a backend on the node is about the caller', async () => {
      await test.logEventsAnew();
      await set([near], echoPort);
      const rules = (entity: string) => ({ ingress: [{ ...fromEntities(entity), ...onPort(echoPort, 'ANY') }] });
      await test.apply(policy('near', { app: 'near' }, rules('world')));
      await expectTcpEcho(world, target);
      await expectUdpEcho(world, target);
      await test.apply(policy('near', { app: 'near' }, rules('remote-node')));
      const since = test.events.mark();
      // Sent again, it is reported also where so much has been that this second has no more room.
      void world.connect(target, 8_000).catch(() => undefined);
      await test.events.find(since, { type: 'drop', to: 'near', port: echoPort, reason: 'Policy denied' });
    });

    it('a service without backends drops what comes, and one that is gone is a port like any other', async () => {
      await set([], echoPort);
      await expect(world.connect(target, 250)).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
      await services.delete('outside');
      await expect(world.connect(target)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });
  });
});
