// SPDX-License-Identifier: Apache-2.0
import { lbBackendState } from '@weir/datapath-layout';
import { createMemoryServices, type MemoryServices } from '@weir/datapath-testing';
import { parseServiceBackend, parseServiceFrontend, type Service } from '@weir/model';
import { createServiceTable, type ServiceTable } from './index.ts';

interface Spec {
  readonly frontends?: readonly string[];
  readonly backends?: readonly string[];
}

function serviceOf(name: string, { frontends = [], backends = [] }: Spec): Service {
  return {
    ...{ namespace: 'default', name, owner: 'api', affinityTimeoutS: 0 },
    frontends: frontends.map(parseServiceFrontend),
    backends: backends.map(parseServiceBackend),
  };
}

const tenBackends = Array.from({ length: 10 }, (_, index) => `10.0.0.${index + 1}:8080`);
const web = (backends: string[]): Service => serviceOf('web', { frontends: ['10.96.0.1:80'], backends });

function tableWith(...services: Service[]): { kernel: MemoryServices; table: ServiceTable } {
  const kernel = createMemoryServices();
  const table = createServiceTable({ rows: kernel.read(), limits: kernel.limits });
  for (const each of services) kernel.apply(table.upsert(each));
  return { kernel, table };
}

/** Rows that a change writes or deletes. */
const sizesOf = (change: ReturnType<ServiceTable['upsert']>) => ({
  ...{ frontends: change.frontends.size, pools: change.pools.size },
  ...{ slots: change.slots.size, backends: change.backends.size },
});

describe('upsert() of a service that is there', () => {
  it('changes nothing when nothing has changed', () => {
    const { table } = tableWith(web(tenBackends));
    expect(sizesOf(table.upsert(web(tenBackends)))).toEqual({ frontends: 0, pools: 0, slots: 0, backends: 0 });
  });

  it('does not care for the order of backends', () => {
    const { table } = tableWith(web(tenBackends));
    expect(sizesOf(table.upsert(web(tenBackends.toReversed()))).slots).toBe(0);
  });

  it('writes one slot for one more backend', () => {
    const { table } = tableWith(web(tenBackends));
    const change = table.upsert(web([...tenBackends, '10.0.0.11:8080']));
    expect(sizesOf(change)).toEqual({ frontends: 0, pools: 1, slots: 1, backends: 1 });
  });

  it('writes the gap and the end for one backend less', () => {
    const { table } = tableWith(web(tenBackends));
    expect(sizesOf(table.upsert(web(tenBackends.slice(1))))).toEqual({ frontends: 0, pools: 1, slots: 2, backends: 1 });
  });

  it('keeps a backend that drains known, without a slot', () => {
    const { kernel, table } = tableWith(web(['10.0.0.1:80', '10.0.0.2:80']));
    kernel.apply(table.upsert(web(['10.0.0.1:80', '10.0.0.2:80,state=terminating'])));
    const { backends, slots } = kernel.read();
    expect([...backends.values()].map(({ state }) => state)).toEqual([
      lbBackendState.active,
      lbBackendState.terminating,
    ]);
    expect([...slots.values()]).toEqual([{ backend: 1, other: 1, share: 0xffffffff }]);
  });
});

describe('backends that are meant for zones', () => {
  const chosenIn = (zone: string, backends: string[]): number[] => {
    const kernel = createMemoryServices();
    const table = createServiceTable({ rows: kernel.read(), limits: kernel.limits, zone });
    kernel.apply(table.upsert(web(backends)));
    const { slots, backends: known } = kernel.read();
    expect(known.size).toBe(backends.length);
    return [...slots.values()].map(({ backend }) => known.get(backend)?.port ?? 0);
  };
  const [a, ab, b, any] = ['10.0.0.1:1,hints=a', '10.0.0.1:2,hints=a+b', '10.0.0.1:3,hints=b', '10.0.0.1:4'];

  it.each([
    ['those for the zone', 'a', [a, ab, b], [1, 2]],
    ['all when one is for all', 'a', [a, b, any], [1, 3, 4]],
    ['all when none is for the zone', 'c', [a, ab, b], [1, 2, 3]],
    ['all when nobody knows the zone', '', [a, b], [1, 3]],
    ['those that are active', 'a', [`${a},state=terminating`, b], [3]],
  ] as [string, string, string[], number[]][])('are %s', (_what, zone, backends, ports) => {
    expect(chosenIn(zone, backends)).toEqual(ports);
  });
});

describe('a service that is refused', () => {
  it('names the service whose address it wants', () => {
    const { table } = tableWith(web(tenBackends));
    const other = serviceOf('other', { frontends: ['10.96.0.1:80'] });
    expect(() => table.upsert(other)).toThrow('The frontend 10.96.0.1:80/TCP belongs to the service "default/web"');
    expect(table.list()).toHaveLength(1);
  });

  it('is not taken from its owner', () => {
    const { table } = tableWith({ ...web([]), owner: 'kubernetes' });
    expect(() => table.upsert(web([]))).toThrow(expect.objectContaining({ code: 'FAILED_PRECONDITION' }));
    expect(() => table.delete('default/web', 'api')).toThrow('belongs to kubernetes');
  });

  it.each([
    ['name', { ...web([]), name: 'Web' }, 'name: "Web" is not a name'],
    ['frontend', serviceOf('x', { frontends: ['224.0.0.1:80'] }), 'frontends[0].address: "224.0.0.1" is a multicast'],
    ['backend', web(['0.0.0.0:80']), 'backends[0].address: "0.0.0.0" is no address of anybody'],
    ['twice', web(['10.0.0.1:80', '10.0.0.1:80']), 'backends[1]: 10.0.0.1 port 80 is there twice'],
    ['affinity', { ...web([]), affinityTimeoutS: 86_401 }, 'affinityTimeoutS: 86401 is not a number from 0 to 86400'],
  ])('says what is wrong: %s', (_what, service, message) => {
    const { table } = tableWith();
    expect(() => table.upsert(service)).toThrow(message);
  });

  it('gives back the numbers that it was given, and changes nothing', () => {
    const kernel = createMemoryServices({
      ...{ frontendsMax: 10, poolsMax: 3, slotsMax: 5, backendsMax: 100, tablesMax: 1 },
    });
    const table = createServiceTable({ rows: kernel.read(), limits: kernel.limits });
    for (let attempt = 0; attempt < 5; attempt++) {
      expect(() => table.upsert(web(tenBackends))).toThrow("no room for 10 slots; the kernel's map holds 5");
    }
    expect(sizesOf(table.upsert(web(tenBackends.slice(5)))).slots).toBe(5);
  });
});

describe('a restart', () => {
  it('takes away what no service claims, and only when it is told that all are there', () => {
    const { kernel } = tableWith(
      web(tenBackends),
      serviceOf('old', { frontends: ['10.96.0.9:80'], backends: ['10.1.0.1:1'] }),
    );
    const table = createServiceTable({ rows: kernel.read(), limits: kernel.limits });
    kernel.apply(table.upsert(web(tenBackends)));
    expect(kernel.read().frontends.size).toBe(2);
    kernel.apply(table.takeRest());
    expect(kernel.read().frontends.size).toBe(1);
    expect(kernel.read().backends.size).toBe(10);
  });
});
