// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { openPinnedLink } from '@weir/bpf-loader-node';
import { lbBackendState, lbSelection } from '@weir/datapath-layout';
import { frontendName, slotNumber, type FrontendRow, type ServiceChange } from '@weir/datapath-maps';
import { parseIpAddress } from '@weir/model';
import { describeAsRoot, useTestDatapaths } from '../testing/test-datapath.ts';

const datapaths = useTestDatapaths();

const frontend: FrontendRow = {
  address: parseIpAddress('10.96.0.1'),
  port: 80,
  protocol: 6,
  group: 1,
  pool: 7,
  isExternal: true,
};
const backend = (port: number) => ({
  address: parseIpAddress('fd00::1'),
  port,
  group: 1,
  state: lbBackendState.active,
});
const slot = (id: number) => ({ backend: id, other: id, share: 0xffffffff });
const rows = {
  frontends: new Map([[frontendName(frontend), frontend]]),
  pools: new Map([[7, { count: 2, selection: lbSelection.random, affinityTicks: 1000 }]]),
  slots: new Map([
    [slotNumber(7, 0), slot(3)],
    [slotNumber(7, 1), slot(4)],
  ]),
  backends: new Map([
    [3, backend(8080)],
    [4, backend(8081)],
  ]),
  tables: new Map(),
};
const nothing: ServiceChange = {
  ...{ frontends: new Map(), pools: new Map(), slots: new Map(), backends: new Map(), tables: new Map() },
};

describeAsRoot('services in the kernel', () => {
  it('are read as they were written, also by the next instance', async () => {
    const first = await datapaths.open();
    first.services.apply(rows);
    expect(first.services.read()).toEqual(rows);
    await first.close();
    const second = await datapaths.open();
    expect(second.services.read()).toEqual(rows);
  });

  it('are for callers from outside as long as they say so', async () => {
    const { services } = await datapaths.open();
    services.apply(rows);
    const name = frontendName(frontend);
    for (const isExternal of [false, true, false]) {
      services.apply({ ...nothing, frontends: new Map([[name, { ...frontend, isExternal }]]) });
      expect(services.read().frontends.get(name)).toEqual({ ...frontend, isExternal });
    }
  });

  it('are gone when they are taken away', async () => {
    const { services } = await datapaths.open();
    services.apply(rows);
    services.apply({
      frontends: new Map([[frontendName(frontend), { removed: frontend }]]),
      pools: new Map([[7, undefined]]),
      slots: new Map([...rows.slots.keys()].map((key) => [key, undefined])),
      backends: new Map([...rows.backends.keys()].map((key) => [key, undefined])),
      tables: new Map(),
    });
    expect(services.read()).toEqual(nothing);
  });

  it('says how many rows there is room for', async () => {
    const limits = { lbFrontends: 16, lbPools: 8, lbSlots: 32, lbBackends: 64 };
    const { services } = await datapaths.open({ limits });
    // A mapping has whole pages.
    expect(services.limits).toMatchObject({ frontendsMax: 16, slotsMax: 32, backendsMax: 64, poolsMax: 8 });
  });

  it('throws when a map is full', async () => {
    const { services } = await datapaths.open({ limits: { lbBackends: 1 } });
    expect(() => services.apply({ ...nothing, backends: rows.backends })).toThrow('The map "weir_lb_backen');
  });
});

describeAsRoot('attachSockets()', () => {
  const root = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1] ?? '/sys/fs/cgroup';
  const cgroups = ['a', 'b'].map((name) => `${root}/weir-sock-${process.pid}${name}`) as [string, string];
  beforeAll(() => cgroups.forEach((path) => mkdirSync(path)));
  afterAll(() => cgroups.forEach((path) => rmdirSync(path)));

  const info = (name: string) => {
    using link = openPinnedLink(join(datapaths.bpfRoot, 'links', `socket-${name}`));
    return link.info();
  };

  it('keeps its links over a restart, and gives them new programs when the settings are others', async () => {
    const first = await datapaths.open();
    first.services.attachSockets(cgroups[0]);
    const before = info('connect4');
    expect(before).toMatchObject({ type: 'cgroup', attachType: 'cgroup_inet4_connect' });
    await first.close();

    const second = await datapaths.open();
    second.services.attachSockets(cgroups[0]);
    second.retainEndpoints(new Set());
    expect(info('connect4')).toEqual(before);
    await second.close();

    const third = await datapaths.open({ config: { eventsPerInterval: 5 } });
    third.services.attachSockets(cgroups[0]);
    third.retainEndpoints(new Set());
    expect(info('connect4')).toMatchObject({ id: before.id, cgroupId: before.cgroupId! });
    expect(info('connect4').programId).not.toBe(before.programId);
  });

  it('moves to another cgroup, all programs', async () => {
    const { services } = await datapaths.open();
    services.attachSockets(cgroups[0]);
    const before = info('getpeername6');
    services.attachSockets(cgroups[1]);
    const names = ['connect', 'sendmsg', 'recvmsg', 'getpeername'].flatMap((name) => [`${name}4`, `${name}6`]);
    expect(new Set(names.map((name) => info(name).cgroupId)).size).toBe(1);
    expect(info('getpeername6').cgroupId).not.toBe(before.cgroupId);
  });

  it('names a cgroup that is not there', async () => {
    const { services } = await datapaths.open();
    expect(() => services.attachSockets('/nowhere')).toThrow('There is no cgroup "/nowhere"');
  });
});
