// SPDX-License-Identifier: Apache-2.0
import { createTestNamespace, type TestNamespace } from '../testing/namespaces.ts';
import { addAddress, deleteAddress } from './address.ts';
import { deleteLink, getLink, setLink } from './link.ts';
import { addBridge, addVeth } from './link-kinds.ts';
import { addNeighbour, deleteNeighbour } from './neighbour.ts';
import { addRoute, deleteRoute } from './route.ts';
import { addRule, deleteRule } from './rule.ts';
import { watchNetlink, type NetlinkEvent, type NetlinkEventKind } from './watch.ts';

let namespace: TestNamespace;
beforeAll(() => {
  namespace = createTestNamespace('watch');
});
afterAll(() => {
  namespace.remove();
});

/** Watches while `act` runs, until an event like `last` has come, and returns all that came. */
async function eventsOf(
  kinds: readonly NetlinkEventKind[],
  { act, last }: { act: () => Promise<unknown>; last: (event: NetlinkEvent) => boolean },
): Promise<NetlinkEvent[]> {
  const seen: NetlinkEvent[] = [];
  const done = Promise.withResolvers<undefined>();
  const onEvents = (events: readonly NetlinkEvent[]): void => {
    seen.push(...events);
    if (events.some(last)) done.resolve(undefined);
  };
  const watch = watchNetlink({ netns: namespace.netns, kinds, onEvents, onLost: () => undefined });
  try {
    await act();
    await done.promise;
    return seen;
  } finally {
    watch.close();
  }
}

describe('watchNetlink()', () => {
  it('tells of links that come, change and go, in order', async () => {
    const act = async (): Promise<void> => {
      await namespace.netlink.batch([
        addVeth({ name: 'a', peer: { name: 'b' } }),
        setLink({ name: 'a' }, { mtu: 1300 }),
        deleteLink({ name: 'a' }),
      ]);
    };
    const last = ({ kind, change, value }: NetlinkEvent): boolean =>
      kind === 'link' && change === 'deleted' && value.name === 'a';
    const events = (await eventsOf(['link'], { act, last })).filter(
      (event) => event.kind === 'link' && event.value.name === 'a',
    );
    expect(events[0]).toMatchObject({ change: 'set', value: { kind: 'veth', mtu: 1500 } });
    expect(events).toContainEqual(
      expect.objectContaining({ change: 'set', value: expect.objectContaining({ mtu: 1300 }) }),
    );
    expect(events.at(-1)).toMatchObject({ change: 'deleted', value: { name: 'a' } });
  });

  it('does not take a port that leaves its bridge for a link that is gone', async () => {
    await namespace.netlink.batch([addBridge({ name: 'br' }), addVeth({ name: 'c', peer: { name: 'd' } })]);
    const { index } = await namespace.netlink.run(getLink({ name: 'br' }));
    const act = async (): Promise<void> => {
      await namespace.netlink.batch([
        setLink({ name: 'c' }, { masterIndex: index }),
        setLink({ name: 'c' }, { masterIndex: 0 }),
        setLink({ name: 'c' }, { mtu: 1234 }),
      ]);
    };
    const last = ({ kind, value }: NetlinkEvent): boolean => kind === 'link' && value.mtu === 1234;
    expect((await eventsOf(['link'], { act, last })).filter(({ change }) => change === 'deleted')).toEqual([]);
    await namespace.netlink.batch([deleteLink({ name: 'br' }), deleteLink({ name: 'c' })]);
  });

  it('tells of addresses, routes, rules and neighbours of both families', async () => {
    await namespace.netlink.batch([addBridge({ name: 'w', up: true })]);
    const { index } = await namespace.netlink.run(getLink({ name: 'w' }));
    const things = [
      { address: '10.7.0.1/32', destination: '10.8.0.0/16', neighbour: '10.7.0.2', family: 'ipv4' },
      { address: 'fd07::1/128', destination: 'fd08::/64', neighbour: 'fd07::2', family: 'ipv6' },
    ] as const;
    const act = async (): Promise<void> => {
      for (const { address, destination, neighbour, family } of things) {
        const rule = { family, table: 7, priority: 100 };
        await namespace.netlink.batch([
          addAddress({ linkIndex: index, address }),
          addRoute({ linkIndex: index, destination }),
          addNeighbour({ linkIndex: index, address: neighbour, macAddress: '02:00:00:00:00:01' }),
          addRule(rule),
          deleteRule(rule),
          deleteNeighbour({ linkIndex: index, address: neighbour }),
          deleteRoute({ destination }),
          deleteAddress({ linkIndex: index, address }),
        ]);
      }
    };
    const last = ({ kind, change, value }: NetlinkEvent): boolean =>
      kind === 'address' && change === 'deleted' && value.address === 'fd07::1/128';
    const events = await eventsOf(['address', 'route', 'rule', 'neighbour'], { act, last });
    for (const change of ['set', 'deleted']) {
      for (const { address, destination, neighbour, family } of things) {
        const expected = [
          { kind: 'address', value: { address } },
          { kind: 'route', value: { destination, table: 254 } },
          { kind: 'neighbour', value: { address: neighbour } },
          { kind: 'rule', value: { family, priority: 100 } },
        ];
        for (const { kind, value } of expected) {
          expect(events).toContainEqual(
            expect.objectContaining({ kind, change, value: expect.objectContaining(value) }),
          );
        }
      }
    }
    await namespace.netlink.run(deleteLink({ name: 'w' }));
  });
});
