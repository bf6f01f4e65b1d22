// SPDX-License-Identifier: Apache-2.0
// Every operation on the real kernel; what it did is read back with `ip`, which shares no code with us.
import { createTestNamespace, type TestNamespace } from '../testing/namespaces.ts';
import { addAddress, deleteAddress, ensureAddress, listAddresses } from './address.ts';
import { deleteLink, deleteLinks, getLink, listLinks, setLink } from './link.ts';
import { addBridge, addVeth, addVxlan } from './link-kinds.ts';
import { addNeighbour, deleteNeighbour, listNeighbours, replaceNeighbour } from './neighbour.ts';
import { createNetlink } from './netlink.ts';
import { tolerating } from './operation.ts';
import { addRoute, deleteRoute, listRoutes, replaceRoute } from './route.ts';
import { addRule, deleteRule, ensureRule, listRules } from './rule.ts';

let host: TestNamespace;
let pod: TestNamespace;
/** Index of the veth in the pod's namespace. */
let eth0: number;

beforeAll(async () => {
  host = createTestNamespace('host');
  pod = createTestNamespace('pod');
  const spec = { name: 'weir7', up: true, noArp: true, mtu: 1450, macAddress: 'ee:ee:ee:ee:ee:ee' };
  const peer = { name: 'eth0', netns: pod.netns, mtu: 1450, macAddress: '0a:58:0a:00:00:02' };
  const [, link] = await host.netlink.batch([addVeth({ ...spec, peer }), getLink({ name: 'weir7' })]);
  eth0 = link.peerIndex ?? 0;
  await pod.netlink.batch([setLink({ index: 1 }, { up: true }), setLink({ index: eth0 }, { up: true })]);
});
afterAll(() => {
  pod.remove();
  host.remove();
});

describe('addVeth()', () => {
  it('makes both ends with everything that was asked for, the peer in its namespace', () => {
    expect(host.ip('-d link show weir7')[0]).toMatchObject({
      mtu: 1450,
      address: 'ee:ee:ee:ee:ee:ee',
      flags: expect.arrayContaining(['NOARP', 'UP']),
      linkinfo: { info_kind: 'veth' },
      link_netnsid: expect.any(Number),
    });
    expect(pod.ip('-d link show eth0')[0]).toMatchObject({
      ifindex: eth0,
      mtu: 1450,
      address: '0a:58:0a:00:00:02',
      flags: expect.not.arrayContaining(['NOARP']),
      gso_max_size: 65536,
      gso_max_segs: 65535,
    });
  });

  it('fails with ALREADY_EXISTS if the name is taken at either end, and leaves nothing behind', async () => {
    const taken = [
      { name: 'weir7', peer: { name: 'other' } },
      { name: 'other', peer: { name: 'eth0', netns: pod.netns } },
    ];
    for (const spec of taken) {
      await expect(host.netlink.run(addVeth(spec))).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        errnoName: 'EEXIST',
        message: expect.stringContaining(`Adding veth "${spec.name}"`),
      });
    }
    expect(host.ip('link').map((link) => link.ifname)).toEqual(['lo', 'weir7']);
  });
});

describe('getLink() and listLinks()', () => {
  it('show what ip shows', async () => {
    const [one, all] = await host.netlink.batch([getLink({ name: 'weir7' }), listLinks()]);
    const shown = host.ip('-d link').map((link) => ({
      index: link.ifindex,
      name: link.ifname,
      mtu: link.mtu,
      macAddress: link.address,
      up: (link.flags as string[]).includes('UP'),
    }));
    expect(all).toMatchObject(shown);
    expect(one).toMatchObject({ kind: 'veth', peerIndex: eth0, noArp: true, loopback: false });
    expect(all[0]).toMatchObject({ name: 'lo', loopback: true, up: false });
  });

  it('list the links of a kind and the ports of a bridge', async () => {
    await host.netlink.batch([addBridge({ name: 'br7', up: true, multicastSnooping: false })]);
    const bridge = await host.netlink.run(getLink({ name: 'br7' }));
    await host.netlink.run(setLink({ name: 'weir7' }, { masterIndex: bridge.index }));
    const lists = await host.netlink.batch([
      listLinks({ kind: 'bridge' }),
      listLinks({ kind: 'ipip' }),
      listLinks({ masterIndex: bridge.index }),
    ]);
    expect(lists.map((links) => links.map(({ name }) => name))).toEqual([['br7'], [], ['weir7']]);
    expect(host.ip('-d link show br7')[0]).toMatchObject({ linkinfo: { info_data: { mcast_snooping: 0 } } });
    await host.netlink.batch([setLink({ name: 'weir7' }, { masterIndex: 0 }), deleteLink({ name: 'br7' })]);
    expect(host.ip('link show weir7')[0]).not.toHaveProperty('master');
  });

  it('fail with NOT_FOUND and the name for a link that is not there', async () => {
    await expect(host.netlink.run(getLink({ name: 'nobody' }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('Reading link "nobody"'),
    });
  });
});

describe('addVxlan()', () => {
  it('makes an external device that learns nothing', async () => {
    const [, link] = await pod.netlink.batch([
      addVxlan({ name: 'vx7', port: 8472, external: true, mtu: 1400, up: true }),
      getLink({ name: 'vx7' }),
    ]);
    expect(link.vxlan).toEqual({ vni: 0, port: 8472, external: true });
    expect(pod.ip('-d link show vx7')[0]).toMatchObject({
      mtu: 1400,
      linkinfo: { info_kind: 'vxlan', info_data: { external: true, port: 8472, learning: false } },
    });
    await pod.netlink.run(deleteLink({ name: 'vx7' }));
  });

  it('makes a device with one network identifier', async () => {
    await pod.netlink.run(addVxlan({ name: 'vx8', port: 4789, vni: 77 }));
    expect(pod.ip('-d link show vx8')[0]).toMatchObject({ linkinfo: { info_data: { id: 77, port: 4789 } } });
    await pod.netlink.run(deleteLink({ name: 'vx8' }));
  });
});

describe('setLink()', () => {
  it('changes name, MTU, MAC address and flags, and moves a link to another namespace', async () => {
    await host.netlink.run(addVeth({ name: 'first', peer: { name: 'second' } }));
    const { index } = await host.netlink.run(getLink({ name: 'first' }));
    await host.netlink.run(
      setLink({ index }, { name: 'third', mtu: 9000, macAddress: '02:00:00:00:00:07', up: true, noArp: true }),
    );
    expect(host.ip('link show third')[0]).toMatchObject({
      mtu: 9000,
      address: '02:00:00:00:00:07',
      flags: expect.arrayContaining(['UP', 'NOARP']),
    });
    await host.netlink.run(setLink({ name: 'third' }, { netns: pod.netns }));
    expect(pod.ip('link show third')[0]).toMatchObject({ mtu: 9000 });
    await host.netlink.run(deleteLink({ name: 'second' }));
    await expect(pod.netlink.run(getLink({ name: 'third' }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('passes on why the kernel refuses', async () => {
    await expect(pod.netlink.run(setLink({ name: 'eth0' }, { mtu: 1_000_000 }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'Changing link "eth0" failed ("mtu greater than device maximum"): invalid argument (EINVAL)',
    });
  });
});

describe('deleteLinks()', () => {
  it('deletes many links at once, both ends of a pair too, and passes over those that are not there', async () => {
    const pairs = Array.from({ length: 20 }, (_, i) => ({ name: `many${i}`, peer: { name: `peer${i}` } }));
    await host.netlink.batch(pairs.map(addVeth));
    const [kept] = await host.netlink.batch([getLink({ name: 'many19' }), setLink({ name: 'many19' }, { group: 7 })]);
    expect(host.ip('-d link show many19')[0]).toMatchObject({ group: '7' });
    const targets = [{ index: 9999 }, ...pairs.slice(0, 19), { name: 'peer0' }];
    await host.netlink.batch(deleteLinks(targets));
    await host.netlink.batch(deleteLinks(targets));
    expect(host.ip('link').map((link) => link.ifname)).toEqual(['lo', 'weir7', 'peer19', 'many19']);
    expect(kept).toMatchObject({ name: 'many19', group: 0 });
    await host.netlink.batch([...deleteLinks([{ name: 'many19' }]), ...deleteLinks([])]);
  });
});

describe('addresses', () => {
  it('are added, listed and deleted as ip shows them', async () => {
    const wanted = [
      { linkIndex: eth0, address: '10.7.0.2/24', scope: 'global', noPrefixRoute: true, noDuplicateDetection: false },
      { linkIndex: eth0, address: '169.254.7.1/32', scope: 'link', noPrefixRoute: false, noDuplicateDetection: false },
      { linkIndex: eth0, address: 'fd07::2/64', scope: 'global', noPrefixRoute: true, noDuplicateDetection: true },
    ] as const;
    await pod.netlink.batch(wanted.map(addAddress));
    const listed = await pod.netlink.run(listAddresses({ linkIndex: eth0 }));
    expect(listed).toEqual(expect.arrayContaining(wanted.map((address) => expect.objectContaining(address))));
    const [shown] = pod.ip('address show eth0');
    expect(shown?.addr_info).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ local: '10.7.0.2', prefixlen: 24, noprefixroute: true, scope: 'global' }),
        expect.objectContaining({ local: '169.254.7.1', prefixlen: 32, scope: 'link' }),
        expect.objectContaining({ local: 'fd07::2', prefixlen: 64, nodad: true }),
      ]),
    );
    expect(await pod.netlink.run(listAddresses({ family: 'ipv4', linkIndex: eth0 }))).toHaveLength(2);
    await pod.netlink.batch(wanted.map(deleteAddress));
    expect(await pod.netlink.run(listAddresses({ family: 'ipv4', linkIndex: eth0 }))).toEqual([]);
  });

  it('fail as what they are: there already, not there, no such link', async () => {
    const address = { linkIndex: eth0, address: '10.7.0.3/32' };
    await pod.netlink.batch([addAddress(address), ensureAddress(address)]);
    await expect(pod.netlink.run(addAddress(address))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await pod.netlink.run(deleteAddress(address));
    await expect(pod.netlink.run(deleteAddress(address))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('address "10.7.0.3/32" on link #'),
    });
    await expect(pod.netlink.run(addAddress({ ...address, linkIndex: 999 }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(pod.netlink.run(listAddresses({ linkIndex: 999 }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('routes', () => {
  beforeAll(async () => {
    await pod.netlink.batch([
      addAddress({ linkIndex: eth0, address: '10.7.0.2/32' }),
      addAddress({ linkIndex: eth0, address: 'fd07::2/128', noDuplicateDetection: true }),
    ]);
  });

  it('are added as ip shows them, with next hop, metrics, table and type', async () => {
    await pod.netlink.batch([
      addRoute({ destination: '10.7.0.1/32', linkIndex: eth0 }),
      addRoute({
        destination: '0.0.0.0/0',
        linkIndex: eth0,
        gateway: '10.7.0.1',
        preferredSource: '10.7.0.2',
        mtu: 1400,
        advertisedMss: 1300,
      }),
      addRoute({ destination: 'fd07::1/128', linkIndex: eth0 }),
      addRoute({ destination: '::/0', linkIndex: eth0, gateway: 'fd07::1', metric: 50 }),
      addRoute({ destination: '10.8.0.0/16', linkIndex: eth0, gateway: '10.99.0.1', onLink: true }),
      addRoute({ destination: '10.9.0.0/16', linkIndex: eth0, gateway: 'fd07::1' }),
      addRoute({ destination: '0.0.0.0/0', type: 'local', table: 2004, linkIndex: 1, protocol: 77 }),
      addRoute({ destination: '::/0', type: 'local', table: 2004, linkIndex: 1, protocol: 77 }),
      addRoute({ destination: '10.20.0.0/16', type: 'unreachable' }),
      addRoute({ destination: 'fd20::/16', type: 'blackhole' }),
    ]);
    expect(pod.ip('-4 -d route')).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          dst: 'default',
          gateway: '10.7.0.1',
          prefsrc: '10.7.0.2',
          metrics: [{ mtu: 1400, advmss: 1300 }],
        }),
        expect.objectContaining({ dst: '10.7.0.1', scope: 'link', protocol: 'static' }),
        expect.objectContaining({ dst: '10.8.0.0/16', gateway: '10.99.0.1', flags: ['onlink'] }),
        expect.objectContaining({ dst: '10.9.0.0/16', via: { family: 'inet6', host: 'fd07::1' } }),
        expect.objectContaining({ dst: '10.20.0.0/16', type: 'unreachable' }),
      ]),
    );
    expect(pod.ip('-6 -d route')).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ dst: 'default', gateway: 'fd07::1', metric: 50 }),
        expect.objectContaining({ dst: 'fd20::/16', type: 'blackhole' }),
      ]),
    );
    for (const family of [4, 6]) {
      expect(pod.ip(`-${family} -d route show table 2004`)).toEqual([
        expect.objectContaining({ dst: 'default', type: 'local', dev: 'lo', protocol: '77' }),
      ]);
    }
  });

  it('are listed by family, table, link and protocol', async () => {
    const [ofTable, ofLink, ofProtocol, ofNobody, ofNoLink] = await pod.netlink.batch([
      listRoutes({ table: 2004 }),
      listRoutes({ family: 'ipv4', table: 254, linkIndex: eth0 }),
      listRoutes({ protocol: 77 }),
      listRoutes({ table: 4711 }),
      listRoutes({ linkIndex: 999 }),
    ]);
    const local = { destination: '0.0.0.0/0', family: 'ipv4', type: 'local', table: 2004, linkIndex: 1, protocol: 77 };
    expect(ofTable).toMatchObject([local, { ...local, destination: '::/0', family: 'ipv6' }]);
    expect(ofProtocol).toEqual(ofTable);
    expect(ofLink.map(({ destination }) => destination).sort()).toEqual([
      '0.0.0.0/0',
      '10.7.0.1/32',
      '10.8.0.0/16',
      '10.9.0.0/16',
    ]);
    expect(ofLink).toContainEqual({
      destination: '0.0.0.0/0',
      family: 'ipv4',
      type: 'unicast',
      table: 254,
      scope: 'global',
      protocol: 4,
      gateway: '10.7.0.1',
      linkIndex: eth0,
      preferredSource: '10.7.0.2',
      mtu: 1400,
      advertisedMss: 1300,
    });
    expect([ofNobody, ofNoLink]).toEqual([[], []]);
  });

  it('are replaced, and added by replaceRoute() where there are none', async () => {
    const route = { destination: '10.30.0.0/16', linkIndex: eth0 };
    await pod.netlink.batch([replaceRoute(route), replaceRoute(route), replaceRoute({ ...route, mtu: 1300 })]);
    expect(pod.ip('route show 10.30.0.0/16')).toMatchObject([{ dst: '10.30.0.0/16', metrics: [{ mtu: 1300 }] }]);
    await expect(pod.netlink.run(addRoute(route))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });

  it('are deleted, and fail as what they are when they are not there or cannot be', async () => {
    const route = { destination: '10.30.0.0/16', linkIndex: eth0 };
    await pod.netlink.run(deleteRoute(route));
    await expect(pod.netlink.run(deleteRoute(route))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('Deleting route to "10.30.0.0/16"'),
    });
    await expect(pod.netlink.run(addRoute({ ...route, gateway: '172.16.0.1' }))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('Nexthop has invalid gateway'),
    });
    await pod.netlink.batch([
      deleteRoute({ destination: '0.0.0.0/0', table: 2004 }),
      deleteRoute({ destination: '::/0', table: 2004, protocol: 77 }),
      deleteRoute({ destination: '::/0', metric: 50 }),
    ]);
    expect(await pod.netlink.run(listRoutes({ table: 2004 }))).toEqual([]);
  });
});

describe('rules', () => {
  const rule = { family: 'ipv6', priority: 9, mark: { value: 0x200, mask: 0xf00 }, table: 2004, protocol: 77 } as const;

  it('are added once, listed and deleted as ip shows them', async () => {
    await pod.netlink.batch([
      ensureRule(rule),
      ensureRule(rule),
      addRule({ family: 'ipv4', table: 7, from: '10.0.0.0/8', inputLink: 'eth0' }),
    ]);
    await expect(pod.netlink.run(addRule(rule))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(pod.ip('-6 rule')).toContainEqual(
      expect.objectContaining({ priority: 9, fwmark: '0x200', fwmask: '0xf00', table: '2004', protocol: '77' }),
    );
    expect(pod.ip('-4 rule')).toContainEqual(
      expect.objectContaining({ src: '10.0.0.0', srclen: 8, iif: 'eth0', table: '7' }),
    );
    const [ipv6, all] = await pod.netlink.batch([listRules({ family: 'ipv6' }), listRules()]);
    expect(ipv6).toContainEqual(rule);
    expect(all).toContainEqual(expect.objectContaining({ family: 'ipv4', from: '10.0.0.0/8', inputLink: 'eth0' }));
    await pod.netlink.batch([deleteRule(rule), deleteRule({ family: 'ipv4', table: 7 })]);
    await expect(pod.netlink.run(deleteRule(rule))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('neighbours', () => {
  it.each(['10.7.0.1', 'fd07::1'])('are added, replaced, listed and deleted as ip shows them: %s', async (address) => {
    const neighbour = { linkIndex: eth0, address, macAddress: 'ee:ee:ee:ee:ee:ee' };
    await pod.netlink.run(addNeighbour(neighbour));
    await expect(pod.netlink.run(addNeighbour(neighbour))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await pod.netlink.run(replaceNeighbour({ ...neighbour, macAddress: 'ee:ee:ee:ee:ee:01' }));
    expect(pod.ip(`neigh show ${address}`)).toMatchObject([{ lladdr: 'ee:ee:ee:ee:ee:01', state: ['PERMANENT'] }]);
    expect(await pod.netlink.run(listNeighbours({ linkIndex: eth0 }))).toContainEqual({
      ...neighbour,
      macAddress: 'ee:ee:ee:ee:ee:01',
      family: address.includes(':') ? 'ipv6' : 'ipv4',
      reachability: 'permanent',
    });
    await pod.netlink.run(deleteNeighbour(neighbour));
  });

  it('fail with NOT_FOUND when they are not there', async () => {
    await expect(pod.netlink.run(deleteNeighbour({ linkIndex: eth0, address: '10.7.0.99' }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

describe('Netlink.batch()', () => {
  const bad = { linkIndex: 999, address: '10.7.0.50/32' };

  it('tries everything, then rejects with the first failure and its place', async () => {
    const good = { linkIndex: eth0, address: '10.7.0.50/32' };
    await expect(pod.netlink.batch([addAddress(bad), addAddress(good)])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      details: { failedIndex: 0, errnoName: 'ENODEV' },
    });
    await pod.netlink.run(deleteAddress(good));
  });

  it('mixes dumps with changes and keeps their order', async () => {
    const address = { linkIndex: eth0, address: '10.7.0.51/32' };
    const has = (list: readonly { address: string }[]): boolean => list.some((one) => one.address === address.address);
    const [before, , between, , after] = await pod.netlink.batch([
      listAddresses(),
      addAddress(address),
      listAddresses(),
      deleteAddress(address),
      listAddresses(),
    ]);
    expect([before, between, after].map(has)).toEqual([false, true, false]);
  });

  it('takes more operations than fit into one send', async () => {
    const addresses = Array.from({ length: 300 }, (_, i) => ({
      linkIndex: 1,
      address: `10.77.${i >> 8}.${i & 255}/32`,
    }));
    await pod.netlink.batch(addresses.map(addAddress));
    expect(await pod.netlink.run(listAddresses({ family: 'ipv4', linkIndex: 1 }))).toHaveLength(301);
    await pod.netlink.batch(addresses.map(deleteAddress));
  });

  it('resolves with nothing for nothing', async () => {
    expect(await pod.netlink.batch([])).toEqual([]);
  });
});

describe('Netlink.batchSettled()', () => {
  it('tells the fate of each operation, and what is tolerated is a success', async () => {
    const missing = getLink({ name: 'nobody' });
    const outcomes = await pod.netlink.batchSettled([
      missing,
      tolerating(missing, { code: 'NOT_FOUND', result: undefined }),
      getLink({ name: 'lo' }),
    ]);
    expect(outcomes).toMatchObject([
      { status: 'rejected', reason: { code: 'NOT_FOUND' } },
      { status: 'fulfilled', value: undefined },
      { status: 'fulfilled', value: { index: 1 } },
    ]);
  });
});

describe('Netlink.close()', () => {
  it('makes later operations fail with FAILED_PRECONDITION', async () => {
    const netlink = createNetlink();
    netlink.close();
    netlink.close();
    await expect(netlink.run(listLinks())).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
