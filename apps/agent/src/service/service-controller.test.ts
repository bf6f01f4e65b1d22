// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import { createFaults, createMemoryServices, type Faults, type MemoryServices } from '@weir/datapath-testing';
import { parseServiceBackend, parseServiceFrontend, type Service } from '@weir/model';
import { silent } from '../testing/test-agent.ts';
import { createServiceController, type ServiceController } from './service-controller.ts';
import { createServiceStore } from './service-store.ts';

let directory: string;
let path: string;
let kernel: MemoryServices;
let faults: Faults;
let clock: ManualClock;
let gone: number[];
let services: ServiceController;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-services-'));
  path = join(directory, 'state', 'services.jsonl');
  kernel = createMemoryServices();
  faults = createFaults();
  clock = createManualClock();
  gone = [];
  services = await start();
});
afterEach(async () => {
  await services.close();
  rmSync(directory, { recursive: true });
});

/** A controller on the same disk and kernel: a second one is a restart. */
async function start(): Promise<ServiceController> {
  const datapath = faults.wrap(kernel, { throwing: ['apply'] });
  const store = faults.wrap(createServiceStore(path), { rejecting: ['append'] });
  const onBackendsGone = (ids: readonly number[]): void => void gone.push(...ids);
  const controller = createServiceController({
    datapath,
    store,
    clock,
    logger: silent,
    onBackendsGone,
    numbersFrom: 0,
  });
  await controller.restore();
  return controller;
}

const web = (name: string, ...backends: string[]): Service => ({
  ...{ namespace: 'default', name, owner: 'api', affinityTimeoutS: 0 },
  frontends: [parseServiceFrontend(`10.96.0.${name.length}:80`)],
  backends: backends.map(parseServiceBackend),
});
const namesOf = (list: readonly Service[]): string[] => list.map(({ name }) => name);
const inKernel = (): number[] => [...kernel.read().frontends.values()].map(({ address }) => address[15] ?? 0).sort();
const onDisk = async (): Promise<string[]> => {
  const store = createServiceStore(join(directory, 'copy.jsonl'));
  writeFileSync(join(directory, 'copy.jsonl'), readFileSync(path));
  return namesOf(await store.load());
};

describe('upsert()', () => {
  it('brings services onto the disk and into the kernel, but for those that are refused', async () => {
    const bad = { ...web('bbb'), frontends: web('a').frontends };
    const results = await services.upsert([web('a', '10.0.0.1:1'), bad, web('cc')]);
    expect(results.map(({ key, error }) => [key, error?.code])).toEqual([
      ['default/a', undefined],
      ['default/bbb', 'ALREADY_EXISTS'],
      ['default/cc', undefined],
    ]);
    expect(inKernel()).toEqual([1, 2]);
    expect(await onDisk()).toEqual(['a', 'cc']);
  });

  it('writes nothing, to disk nor kernel, when nothing has changed', async () => {
    await services.upsert([web('a', '10.0.0.1:1')]);
    const [writes, text] = [kernel.writes, readFileSync(path, 'utf8')];
    await services.upsert([web('a', '10.0.0.1:1')]);
    expect([kernel.writes, readFileSync(path, 'utf8')]).toEqual([writes, text]);
  });

  it('tells who watches, and of backends that are gone or do not answer', async () => {
    const events: string[] = [];
    const stop = services.watch((event) => events.push(event.kind));
    await services.upsert([web('a', '10.0.0.1:1', '10.0.0.2:1', '10.0.0.3:1')]);
    await services.upsert([web('a', '10.0.0.1:1', '10.0.0.2:1,state=quarantined')]);
    expect(gone.toSorted()).toEqual([2, 3]);
    await services.delete(['default/a'], 'api');
    stop();
    await services.upsert([web('a')]);
    expect(events).toEqual(['upserted', 'upserted', 'deleted']);
  });

  it.each([
    ['the disk', 1],
    ['the kernel', 2],
  ] as const)('has no part of it in force when %s fails', async (_, call) => {
    await services.upsert([web('a', '10.0.0.1:1')]);
    faults.failCall(call);
    const [result] = await services.upsert([web('a', '10.0.0.9:9'), web('bb')]);
    expect(result?.error?.code).toBe('SYSTEM_CALL_FAILED');
    expect(namesOf(services.list())).toEqual(['a']);
    expect(services.get('default/a')?.backends[0]?.port).toBe(1);
    expect(inKernel()).toEqual([1]);
    expect(await onDisk()).toEqual(['a']);
  });

  it('says that it is behind while the kernel takes nothing, and catches up by itself', async () => {
    await services.upsert([web('a', '10.0.0.1:1')]);
    faults.failFrom(2);
    await services.upsert([web('bb')]);
    expect(services.behind?.code).toBe('SYSTEM_CALL_FAILED');
    // What would build on it is refused meanwhile.
    await expect(services.upsert([web('ccc')])).rejects.toMatchObject({ code: 'SYSTEM_CALL_FAILED' });
    faults.heal();
    await clock.advance(1_000);
    expect(services.behind).toBeUndefined();
    expect(namesOf(services.list())).toEqual(['a']);
    expect(inKernel()).toEqual([1]);
  });
});

describe('delete()', () => {
  it('refuses what is not there, and does the others', async () => {
    await services.upsert([web('a')]);
    const results = await services.delete(['default/none', 'default/a'], 'api');
    expect(results.map(({ error }) => error?.message)).toEqual(['There is no service "default/none"', undefined]);
    expect(inKernel()).toEqual([]);
    expect(await onDisk()).toEqual([]);
  });
});

describe('restore()', () => {
  it('finds everything as it was, and writes nothing', async () => {
    await services.upsert([web('a', '10.0.0.1:1', '10.0.0.2:1,weight=5'), web('bb', '10.0.0.1:1')]);
    await services.delete(['default/bb'], 'api');
    const { writes } = kernel;
    const again = await start();
    expect(again.list()).toEqual(services.list());
    expect(kernel.writes).toBe(writes);
    await again.close();
  });

  it('does what the disk has and the kernel does not: the agent died in between', async () => {
    await services.upsert([web('a')]);
    appendFileSync(path, `${JSON.stringify([{ upsert: web('bb') }, { delete: 'default/a' }])}\n`);
    const again = await start();
    expect(namesOf(again.list())).toEqual(['bb']);
    expect(inKernel()).toEqual([2]);
    await again.close();
  });

  it('takes no notice of a last line that was not finished', async () => {
    await services.upsert([web('a')]);
    appendFileSync(path, JSON.stringify([{ upsert: web('bb') }]).slice(0, -10));
    const again = await start();
    expect(namesOf(again.list())).toEqual(['a']);
    await again.upsert([web('bb')]);
    expect(await onDisk()).toEqual(['a', 'bb']);
    await again.close();
  });

  it.each([
    ['another version', '{"version":9}\n', 'begins with "{"version":9}"'],
    ['no JSON', '{"version":1}\nnonsense\n', 'has something else than JSON in line 2'],
    ['no services', '{"version":1}\n[{"upsert":{}}]\n', 'has something else than services in line 2'],
  ])('leaves a file with %s as it is, and the kernel too', async (_, text, message) => {
    await services.upsert([web('a')]);
    writeFileSync(path, text);
    await expect(start()).rejects.toMatchObject({ code: 'CORRUPT_STATE', message: expect.stringContaining(message) });
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect(inKernel()).toEqual([1]);
  });
});
