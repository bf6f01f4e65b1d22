// SPDX-License-Identifier: Apache-2.0
// A thousand random changes of services, on the real maps and a real disk, with restarts in between: after each the kernel
// has exactly the rows that a table made from nothing would write, but for their numbers.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import { type KernelDatapath, openKernelDatapath } from '@weir/datapath-loader';
import { lbSelection } from '@weir/datapath-layout';
import { slotNumber, type ServiceRows } from '@weir/datapath-maps';
import { createServiceTable } from '@weir/loadbalancer';
import { type Service, serviceKey, type ServiceBackend } from '@weir/model';
import { silent } from '../testing/test-agent.ts';
import { createServiceController, type ServiceController } from './service-controller.ts';
import { createServiceStore } from './service-store.ts';

const maglevTableSize = 251;
const describeAsRoot = process.getuid?.() === 0 ? describe : describe.skip;
const objectPath = fileURLToPath(new URL('../../../../dist/bpf/weir.bpf.o', import.meta.url));
const changeCount = 1_000;
const restartCount = 10;

const seed = Number(process.env['WEIR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
let state = seed;
/** Linear congruential (Numerical Recipes): any sequence serves, as long as the seed gives it again. */
const below = (limit: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};
const oneOf = <Value>(values: readonly Value[]): Value => values[below(values.length)]!;

function randomBackend(index: number): ServiceBackend {
  return {
    ...{ address: oneOf([`10.0.${below(2)}.${index}`, `fd00::${index}`]), port: 8000 + index, portName: '' },
    ...{ weight: oneOf([1, 1, 2, 9]), state: oneOf(['active', 'active', 'terminating', 'quarantined', 'maintenance']) },
    ...{ node: '', zone: '' },
  };
}

function randomService(): Service {
  const number = below(12);
  return {
    ...{ namespace: 'default', name: `s${number}`, owner: 'api', affinityTimeoutS: oneOf([0, 60]) },
    ...{ selection: oneOf(['random', 'random', 'random', 'round-robin', 'round-robin', 'maglev']) },
    frontends: [
      { address: `10.96.0.${1 + below(14)}`, port: 80, protocol: oneOf(['TCP', 'UDP']), portName: '' },
      { address: `fd96::${1 + number}`, port: 80, protocol: 'TCP', portName: '' },
    ],
    backends: Array.from({ length: below(20) }, (_, index) => randomBackend(index + 1)),
  };
}

/** The rows without the numbers: each frontend with what it leads to. */
function meaning(rows: ServiceRows): object {
  const addressOf = (id: number): string => {
    const backend = rows.backends.get(id);
    return backend === undefined ? 'nobody' : `${backend.address.join('.')}:${backend.port}`;
  };
  const frontends = [...rows.frontends].map(([name, { group, pool }]) => {
    const word = rows.pools.get(pool);
    const shares = new Map<string, number>();
    const slotCount = word?.selection === lbSelection.maglev ? 0 : (word?.count ?? 0);
    for (let index = 0; index < slotCount; index++) {
      const slot = rows.slots.get(slotNumber(pool, index));
      const parts = [
        [slot?.backend ?? 0, ((slot?.share ?? 0) + 1) / 2 ** 32],
        [slot?.other ?? 0, 1 - ((slot?.share ?? 0) + 1) / 2 ** 32],
      ] as const;
      for (const [id, part] of parts) {
        if (part > 0) shares.set(addressOf(id), (shares.get(addressOf(id)) ?? 0) + part);
      }
    }
    for (const id of rows.tables.get(pool) ?? []) {
      shares.set(addressOf(id), (shares.get(addressOf(id)) ?? 0) + 1 / (word?.count ?? 1));
    }
    const known = [...rows.backends].filter(([, each]) => each.group === group);
    return [
      name,
      word,
      [...shares].map(([address, share]) => `${address} ${share.toFixed(4)}`).sort(),
      known.map(([id, each]) => `${addressOf(id)} ${each.state}`).sort(),
    ] as const;
  });
  return {
    frontends: frontends.sort(([a], [b]) => (a < b ? -1 : 1)),
    sizes: [rows.frontends, rows.pools, rows.slots, rows.backends, rows.tables].map(({ size }) => size),
  };
}

/** What a table that never knew anything else would have. */
function wanted(services: readonly Service[]): object {
  const rows = { frontends: new Map(), pools: new Map(), slots: new Map(), backends: new Map(), tables: new Map() };
  const limits = { frontendsMax: 1e6, poolsMax: 1e6, slotsMax: 1e6, backendsMax: 1e6, tablesMax: 1e6 };
  const table = createServiceTable({ rows, limits, maglevTableSize });
  for (const service of services) {
    const change = table.upsert(service);
    for (const [name, row] of change.frontends) if (!('removed' in row)) rows.frontends.set(name, row);
    for (const [pool, row] of change.pools) rows.pools.set(pool, row);
    for (const [number, row] of change.slots) rows.slots.set(number, row);
    for (const [id, row] of change.backends) rows.backends.set(id, row);
    for (const [pool, row] of change.tables) rows.tables.set(pool, row);
  }
  return meaning(rows);
}

describeAsRoot(`services in the kernel, seed ${seed}`, () => {
  let directory: string;
  let datapath: KernelDatapath;
  let services: ServiceController;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-model-'));
    execFileSync('mount', ['-t', 'bpf', 'bpf', directory]);
  });
  afterAll(async () => {
    await services.close();
    await datapath.close();
    execFileSync('umount', [directory]);
    rmSync(directory, { recursive: true });
    rmSync(`${directory}-state`, { recursive: true });
  });

  const start = async (): Promise<void> => {
    datapath = await openKernelDatapath({ bpfRoot: directory, objectPath });
    const store = createServiceStore(join(`${directory}-state`, 'services.jsonl'));
    const parts = { datapath: datapath.services, store, clock: systemClock, logger: silent, maglevTableSize };
    services = createServiceController(parts);
    await services.restore();
  };

  it(`are those of the model after each of ${changeCount} changes and ${restartCount} restarts`, async () => {
    await start();
    const model = new Map<string, Service>();
    for (let change = 1; change <= changeCount; change++) {
      if (change % (changeCount / restartCount) === 0) {
        await services.close();
        await datapath.close();
        await start();
      }
      const service = randomService();
      const key = serviceKey(service);
      const [result] = below(4) === 0 ? await services.delete([key], 'api') : await services.upsert([service]);
      if (result?.error === undefined) {
        const now = services.get(key);
        if (now === undefined) model.delete(key);
        else model.set(key, service);
      } else {
        expect(['ALREADY_EXISTS', 'NOT_FOUND']).toContain(result.error.code);
      }
      expect(services.list().map(serviceKey).sort()).toEqual([...model.keys()].sort());
      // Reading 100 rows costs more than changing one.
      if (change % 10 === 0) expect(meaning(datapath.services.read())).toEqual(wanted([...model.values()]));
    }
    expect(meaning(datapath.services.read())).toEqual(wanted([...model.values()]));
  }, 120_000);
});
