// SPDX-License-Identifier: Apache-2.0
// Random histories of services, with restarts in between, against a naive reading of what a client would meet: whatever the
// history, the rows say of every address what the services say, and there are no other rows.
import fc from 'fast-check';
import { frontendName, slotNumber, type ServiceRows } from '@weir/datapath-maps';
import { createMemoryServices, type MemoryServices } from '@weir/datapath-testing';
import { parseIpAddress, protocolNumber, serviceKey, type Service, type ServiceBackend } from '@weir/model';
import { createServiceTable, type ServiceTable } from './index.ts';

const backend = (node: number): fc.Arbitrary<ServiceBackend> =>
  fc.record({
    address: fc.constantFrom(`10.0.0.${node}`, `fd00::${node}`),
    port: fc.constant(8080),
    portName: fc.constantFrom('', 'dns'),
    weight: fc.constantFrom(1, 1, 1, 2, 7),
    state: fc.constantFrom('active' as const, 'active' as const, 'terminating' as const, 'maintenance' as const),
    node: fc.constant(''),
    zone: fc.constant(''),
  });

const maglevTableSize = 251;
const names = ['a', 'b', 'c'];

/** Services of few names with few addresses, so that they meet each other and themselves again. */
const service: fc.Arbitrary<Service> = fc
  .record({
    name: fc.constantFrom(...names),
    addresses: fc.uniqueArray(fc.constantFrom('1', '2', '3'), { minLength: 1 }),
    portName: fc.constantFrom('', 'dns'),
    backends: fc.uniqueArray(fc.integer({ min: 1, max: 9 }).chain(backend), {
      selector: ({ address, portName }) => `${address} ${portName}`,
      maxLength: 8,
    }),
    affinityTimeoutS: fc.constantFrom(0, 10),
    selection: fc.constantFrom('random' as const, 'random' as const, 'round-robin' as const, 'maglev' as const),
  })
  .map(({ name, addresses, portName, backends, affinityTimeoutS, selection }) => ({
    ...{ namespace: 'default', name, owner: 'api' as const, backends, affinityTimeoutS, selection },
    frontends: addresses.flatMap((last) => [
      { address: `10.96.0.${last}`, port: 80, protocol: 'TCP' as const, portName },
      { address: `fd96::${last}`, port: 53, protocol: 'UDP' as const, portName },
    ]),
  }));

type Step = { readonly upsert: Service } | { readonly remove: string } | 'restart';

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: service.map((upsert) => ({ upsert })) },
  { weight: 2, arbitrary: fc.constantFrom(...names).map((name) => ({ remove: `default/${name}` })) },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
);

/** Address of each backend → its part of the new connections, as the rows have it. */
function sharesInRows(rows: ServiceRows, { group, pool }: { group: number; pool: number }): Map<string, number> {
  const shares = new Map<string, number>();
  const count = rows.pools.get(pool)?.count ?? 0;
  const add = (id: number, share: number): void => {
    const row = rows.backends.get(id);
    if (row?.group !== group)
      throw new Error(`Slot of pool ${pool} names backend ${id}, which is not of group ${group}`);
    const key = String(row.address);
    shares.set(key, (shares.get(key) ?? 0) + share / count);
  };
  const table = rows.tables.get(pool);
  if (table !== undefined) {
    expect(table.length).toBe(count);
    for (const id of table) add(id, 1);
    return shares;
  }
  for (let index = 0; index < count; index++) {
    const slot = rows.slots.get(slotNumber(pool, index));
    if (slot === undefined) throw new Error(`Slot ${index} of pool ${pool} is not there`);
    const own = (slot.share + 1) / 2 ** 32;
    add(slot.backend, own);
    if (own < 1) add(slot.other, 1 - own);
  }
  return shares;
}

/** The same as the service says it. */
function sharesWanted({ backends }: Service, { portName, ipv6 }: { portName: string; ipv6: boolean }) {
  const mine = backends.filter((each) => each.portName === portName && each.address.includes(':') === ipv6);
  const active = mine.filter(({ state }) => state === 'active');
  const chosen = active.length > 0 ? active : mine.filter(({ state }) => state === 'terminating');
  const total = chosen.reduce((sum, { weight }) => sum + weight, 0);
  return new Map(chosen.map(({ address, weight }) => [String(parseIpAddress(address)), weight / total]));
}

function expectRows(rows: ServiceRows, services: readonly Service[]): void {
  const used = { slots: 0, tables: 0, backends: new Set<number>(), pools: new Set<number>() };
  for (const each of services) {
    for (const { address, port, protocol, portName } of each.frontends) {
      const name = frontendName({ address: parseIpAddress(address), port, protocol: protocolNumber[protocol] });
      const frontend = rows.frontends.get(name);
      expect(frontend).toBeDefined();
      const shares = sharesInRows(rows, frontend!);
      const wanted = sharesWanted(each, { portName, ipv6: address.includes(':') });
      expect([...shares.keys()].sort()).toEqual([...wanted.keys()].sort());
      const isTable = rows.tables.has(frontend!.pool);
      // A table is even to a turn, others exactly.
      const slack = isTable ? 8 / maglevTableSize : 1e-6;
      for (const [key, share] of wanted) expect(Math.abs((shares.get(key) ?? 0) - share)).toBeLessThan(slack);
      if (used.pools.has(frontend!.pool)) continue;
      used.pools.add(frontend!.pool);
      used.tables += isTable ? 1 : 0;
      used.slots += isTable ? 0 : wanted.size;
      for (const [id, { group }] of rows.backends) if (group === frontend!.group) used.backends.add(id);
    }
  }
  expect(rows.frontends.size).toBe(services.reduce((sum, { frontends }) => sum + frontends.length, 0));
  expect(rows.pools.size).toBe(used.pools.size);
  expect(rows.slots.size).toBe(used.slots);
  expect(rows.tables.size).toBe(used.tables);
  expect(rows.backends.size).toBe(used.backends.size);
}

/** What a table does with its kernel, its services being on disk. */
function createNode(): { readonly kernel: MemoryServices; table: ServiceTable } {
  const kernel = createMemoryServices();
  return { kernel, table: createServiceTable({ rows: kernel.read(), limits: kernel.limits, maglevTableSize }) };
}

function take(node: { readonly kernel: MemoryServices; table: ServiceTable }, now: Step): void {
  const { kernel, table } = node;
  if (now === 'restart') {
    const services = table.list();
    const rows = { rows: kernel.read(), limits: kernel.limits };
    node.table = createServiceTable({ ...rows, maglevTableSize, numbersFrom: 1000 });
    const before = kernel.writes;
    for (const each of services) kernel.apply(node.table.upsert(each));
    kernel.apply(node.table.takeRest());
    // What is as it should be is not written.
    expect(kernel.writes).toBe(before);
    return;
  }
  try {
    kernel.apply('upsert' in now ? table.upsert(now.upsert) : table.delete(now.remove, 'api'));
  } catch (error) {
    expect(['ALREADY_EXISTS', 'NOT_FOUND']).toContain((error as { code: string }).code);
  }
}

describe('createServiceTable()', () => {
  it('has the rows that the services mean, after any history', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const node = createNode();
        for (const now of steps) {
          take(node, now);
          expectRows(node.kernel.read(), node.table.list());
        }
      }),
      { numRuns: 300 },
    );
  });

  it('never gives an address to two services, and leaves both as they were when it refuses', () => {
    fc.assert(
      fc.property(fc.array(service, { minLength: 2, maxLength: 10 }), (services) => {
        const node = createNode();
        for (const each of services) {
          const before = node.table.get(serviceKey(each));
          const rows = node.kernel.read();
          try {
            node.kernel.apply(node.table.upsert(each));
          } catch {
            expect(node.table.get(serviceKey(each))).toBe(before);
            expect(node.kernel.read()).toEqual(rows);
          }
        }
        const addresses = node.table.list().flatMap(({ frontends }) => frontends.map(({ address }) => address));
        expect(new Set(addresses).size).toBe(addresses.length);
      }),
    );
  });
});
