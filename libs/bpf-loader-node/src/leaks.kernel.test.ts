// SPDX-License-Identifier: Apache-2.0
// Goal: no operation keeps a descriptor or memory. Method: run each kind often after a warm-up; there must be no more
// descriptors afterwards, and resident memory must not grow by what even a small leak would add up to. A leak grows in
// every round; what the engine keeps for itself (code, room for its heap) does not, so one quiet round is proof enough.
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { processResources } from '../testing/process-resources.ts';
import { describeAsRoot, emptyPacket, loadSample, sampleSpec, temporaryBpffs, u32, u64 } from '../testing/sample.ts';
import {
  attachCgroup,
  attachTc,
  attachTcxAsync,
  attachXdp,
  createMap,
  loadObject,
  loadObjectAsync,
  mapFlags,
  openMapById,
  openObject,
  openPinnedLink,
  openPinnedMap,
  openProgramById,
  openRingReader,
  unpin,
} from './index.ts';
import type { BpfMap, BpfObject, Link, LoadOptions } from './index.ts';

const many = 10_000;
/** For operations that load programs or wait for all processors to leave the old one: 1 to 30 ms each. */
const few = 40;
/** 50 bytes an operation of the many, 12 KiB of the few: less than what a load or a descriptor's object needs. */
const growthMibMax = 0.5;
const roundsMax = 10;

async function repeat(count: number, operation: () => unknown): Promise<void> {
  // Also a promise of another realm, such as those that the addon makes, is no `Promise` of this one.
  for (let i = 0; i < count; i++) await operation();
}

async function expectNoLeak(count: number, operation: () => unknown): Promise<void> {
  await repeat(Math.ceil(count / 10), operation);
  const before = await processResources();
  let after = before;
  const growths: number[] = [];
  for (let round = 0; round < roundsMax && !growths.some((growth) => growth < growthMibMax); round++) {
    const { nativeMib } = after;
    await repeat(count, operation);
    after = await processResources();
    growths.push(after.nativeMib - nativeMib);
  }
  expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
  expect(Math.min(...growths)).toBeLessThan(growthMibMax);
}

function ignoreError(operation: () => unknown): void {
  try {
    operation();
  } catch {
    // The errors of this file are on purpose.
  }
}

describeAsRoot('10,000 operations leave nothing behind:', () => {
  const bpffs = temporaryBpffs();
  const hash = { name: 'leak', type: 'hash', keySize: 4, valueSize: 8, maxEntries: 1024 } as const;
  const keys = u32(...Array.from({ length: 64 }, (_, index) => index));
  const values = u64(...Array.from({ length: 64 }, (_, index) => BigInt(index)));
  let map: BpfMap, array: BpfMap, sample: BpfObject, link: Link, namespaces: TestNamespaces;
  let place: { readonly direction: 'ingress'; readonly netns: string };
  beforeAll(() => {
    map = createMap(hash);
    array = createMap({ ...hash, type: 'array', maxEntries: 8, flags: mapFlags.mmapable });
    sample = loadSample();
    namespaces = createTestNamespaces(['leak']);
    place = { direction: 'ingress', netns: namespaces.path('leak') };
    link = attachTc(sample.program('count_packets'), { ...place, ifindex: 1 });
    map.pin(bpffs.path('map'));
    link.pin(bpffs.path('link'));
  });
  afterAll(() => {
    link.close();
    sample.close();
    array.close();
    map.close();
    namespaces.remove();
  });

  const value = new Uint8Array(8);
  it.each<[string, number, () => unknown]>([
    ['lookup', many, () => map.lookup(u32(1), value)],
    ['update and delete', many, () => map.update(u32(1), value) && map.delete(u32(1))],
    ['batch', many, () => map.updateMany({ keys, values }) + map.deleteMany(keys)],
    ['batch on the pool', many, () => map.updateManyAsync({ keys, values })],
    ['entries()', many, () => map.entries()],
    [
      'slices()',
      many / 10,
      async () => {
        for await (const { count } of map.slices({ sliceEntries: 16 })) expect(count).toBeGreaterThan(0);
      },
    ],
    ['createMap()', many, () => createMap({ ...hash, maxEntries: 1 }).close()],
    ['openMapById()', many, () => openMapById(map.info.id).close()],
    ['openPinnedMap()', many, () => openPinnedMap(bpffs.path('map')).close()],
    ['mmap()', many, () => array.mmap().close()],
    ['openProgramById()', many, () => openProgramById(sample.program('xdp_pass').info().id).close()],
    ['testRun()', many, () => sample.program('drop_packets').testRun({ data: emptyPacket() })],
    ['link info()', many, () => link.info()],
    [
      'link update()',
      many,
      () => {
        link.update(sample.program('count_packets'));
      },
    ],
    ['openPinnedLink()', many, () => openPinnedLink(bpffs.path('link')).close()],
    [
      'pin and unpin',
      many,
      () => {
        map.pin(bpffs.path('again'));
        unpin(bpffs.path('again'));
      },
    ],
    [
      'an argument of the wrong type',
      many,
      () => {
        ignoreError(() => map.lookup('key' as never));
      },
    ],
    [
      'a refused system call',
      many,
      () => {
        ignoreError(() => openMapById(0));
      },
    ],
    ['attachTc() by tcx', few, () => attachTc(sample.program('drop_packets'), { ...place, ifindex: 1 }).close()],
    [
      'attachTcxAsync()',
      few,
      async () => (await attachTcxAsync(sample.program('drop_packets'), { ...place, ifindex: 1 })).close(),
    ],
    [
      'attachTc() by filter',
      many / 10,
      () => attachTc(sample.program('count_packets'), { ...place, ifindex: 1, mechanism: 'filter' }).close(),
    ],
    [
      'attachXdp()',
      few,
      () => attachXdp(sample.program('xdp_pass'), { ifindex: 1, mode: 'generic', netns: place.netns }).close(),
    ],
    [
      'an attachment that is refused',
      many,
      () => {
        ignoreError(() => attachCgroup(sample.program('drop_packets'), { path: '/', attachType: 'cgroup_device' }));
      },
    ],
    ['openObject()', many / 10, () => openObject({ bytes: spec.bytes, name: 'sample' })],
    ['loadObject()', few, () => loadObject(spec, oneProgram).close()],
    [
      'loadObjectAsync()',
      few,
      async () => {
        (await loadObjectAsync(spec, oneProgram)).close();
      },
    ],
    [
      'a refused object',
      many / 10,
      () => {
        ignoreError(() => loadObject(rejected));
      },
    ],
    ['openRingReader()', few, () => openRingReader(sample.map('events'), { onBatch: () => undefined }).close()],
  ])('%s', async (_, count, operation) => {
    await expectNoLeak(count, operation);
  });

  it('what was forgotten without close() is closed when it is collected', async () => {
    const { descriptors } = await processResources();
    (() => {
      for (let i = 0; i < 200; i++) createMap({ ...hash, maxEntries: 1 });
    })();
    expect(readdirSync('/proc/self/fd').length).toBe(descriptors + 200);
    expect((await processResources()).descriptors).toBe(descriptors);
  });
});

const spec = sampleSpec();
const oneProgram: LoadOptions = {
  variables: { answer: 5 },
  programs: Object.fromEntries(spec.programs.map(({ name }) => [name, name === 'count_packets'])),
};
const rejected = sampleSpec('rejected');
