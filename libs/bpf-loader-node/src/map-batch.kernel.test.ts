// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it } from '@jest/globals';
import { describeAsRoot, u32, u64 } from '../testing/sample.ts';
import { createMap, mapFlags, type BpfMap, type MapSpec, type MapType } from './index.ts';

const opened: BpfMap[] = [];
afterEach(() => {
  for (const map of opened.splice(0)) map.close();
});

/** Every way a batch can go: by the kernel's operation, or one by one as on kernels that have none for the type. */
const variants: [string, MapType, boolean][] = [
  ['hash', 'hash', true],
  ['hash, no kernel batch', 'hash', false],
  ['lru_hash', 'lru_hash', true],
  ['lpm_trie', 'lpm_trie', true],
  ['lpm_trie, no kernel batch', 'lpm_trie', false],
];

function makeMap(
  type: MapType,
  { batch = true, maxEntries = 4096 }: { batch?: boolean; maxEntries?: number } = {},
): BpfMap {
  const spec: MapSpec = { name: 'batch', type, keySize: 8, valueSize: 8, maxEntries };
  const map = createMap(type === 'lpm_trie' ? { ...spec, flags: mapFlags.noPrealloc } : spec);
  opened.push(map);
  if (!batch) map.disableBatch();
  return map;
}

/** For an LPM trie these are /32 prefixes; for a hash just 8 bytes. */
function keyOf(number: number): [number, number] {
  return [32, number];
}

function keys(...numbers: number[]): Uint8Array {
  return u32(...numbers.flatMap(keyOf));
}

function numbersOf(bytes: Uint8Array): number[] {
  return [...new Uint32Array(bytes.slice().buffer)].filter((_, index) => index % 2 === 1);
}

function fill(map: BpfMap, count: number): void {
  const numbers = Array.from({ length: count }, (_, index) => index);
  map.updateMany({ keys: keys(...numbers), values: u64(...numbers.map(BigInt)) });
}

describeAsRoot.each(variants)('batches on %s', (_, type, batch) => {
  it('updateMany() writes all, lookupMany() finds them and says what is missing', () => {
    const map = makeMap(type, { batch });
    expect(map.updateMany({ keys: keys(1, 2, 3), values: u64(10n, 20n, 30n) })).toBe(3);
    const into = { keys: keys(3, 9, 1), values: new Uint8Array(24), found: new Uint8Array(3) };
    expect(map.lookupMany(into)).toBe(2);
    expect([...into.found]).toEqual([1, 0, 1]);
    expect(into.values).toEqual(u64(30n, 0n, 10n));
  });

  it('updateManyAsync() and deleteManyAsync() do the same on the pool, from a copy', async () => {
    const map = makeMap(type, { batch });
    const [keyBuffer, values] = [keys(1, 2), u64(1n, 2n)];
    const written = map.updateManyAsync({ keys: keyBuffer, values });
    const [used, usedValues] = [keyBuffer.slice(), values.slice()];
    keyBuffer.fill(255);
    values.fill(255);
    expect(await written).toBe(2);
    expect(map.lookup(used.subarray(8))).toEqual(usedValues.subarray(8));
    expect(await map.deleteManyAsync(used)).toBe(2);
    expect(map.entries().count).toBe(0);
  });

  it('deleteMany() counts what was there and is not stopped by what was not', () => {
    const map = makeMap(type, { batch });
    fill(map, 6);
    expect(map.deleteMany(keys(100, 0, 101, 102, 5, 3, 103))).toBe(3);
    expect(numbersOf(map.entries().keys).sort()).toEqual([1, 2, 4]);
  });

  it('updateMany() with mode "create" leaves out what is there', () => {
    const map = makeMap(type, { batch });
    fill(map, 2);
    expect(map.updateMany({ keys: keys(0, 1, 2), values: u64(9n, 9n, 9n) }, 'create')).toBe(1);
    expect(map.lookup(keys(1))).toEqual(u64(1n));
  });

  it('entries() reads all, slices() reads the same in slices', async () => {
    const map = makeMap(type, { batch });
    fill(map, 1000);
    const expected = Array.from({ length: 1000 }, (_, index) => index);
    expect(numbersOf(map.entries().keys).sort((a, b) => a - b)).toEqual(expected);
    const seen: number[] = [];
    for await (const slice of map.slices({ sliceEntries: 64 })) {
      expect(slice.count).toBeLessThanOrEqual(64);
      expect(slice.values.length).toBe(slice.count * 8);
      seen.push(...numbersOf(slice.keys));
    }
    expect(seen.sort((a, b) => a - b)).toEqual(expected);
  });

  it('entries({ remove }) empties the map and gives what was in it', () => {
    const map = makeMap(type, { batch });
    fill(map, 300);
    expect(map.entries({ remove: true, sliceEntries: 32 }).count).toBe(300);
    expect(map.entries().count).toBe(0);
  });

  it('slices() sees what stays exactly once while everything else changes', async () => {
    const map = makeMap(type, { batch });
    fill(map, 2000);
    const seen: number[] = [];
    let fresh = 10_000;
    for await (const slice of map.slices({ sliceEntries: 50 })) {
      const numbers = numbersOf(slice.keys);
      seen.push(...numbers);
      // The last key is where the kernel goes on from. Odd keys go away, even ones stay, new ones come.
      map.deleteMany(keys(...numbers.filter((number) => number % 2 === 1)));
      map.update(keys(fresh), u64(0n));
      map.delete(keys(fresh - 1));
      fresh += 1;
    }
    const stable = seen.filter((number) => number < 2000 && number % 2 === 0).sort((a, b) => a - b);
    expect(stable).toEqual(Array.from({ length: 1000 }, (_, index) => index * 2));
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describeAsRoot('batches that cannot be done', () => {
  it('updateMany() over the limit says how far it got', () => {
    const map = makeMap('hash', { maxEntries: 2 });
    expect(() => map.updateMany({ keys: keys(1, 2, 3), values: u64(1n, 2n, 3n) })).toThrow(
      expect.objectContaining({ code: 'RESOURCE_EXHAUSTED', details: expect.objectContaining({ processed: 2 }) }),
    );
  });

  it('updateManyAsync() over the limit rejects with the same', async () => {
    const map = makeMap('hash', { maxEntries: 1, batch: false });
    await expect(map.updateManyAsync({ keys: keys(1, 2), values: u64(1n, 2n) })).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      details: { processed: 1 },
    });
  });

  it('updateMany() refuses values that do not match the keys', () => {
    expect(() => makeMap('hash').updateMany({ keys: keys(1, 2), values: u64(1n) })).toThrow(
      'values: expected 16 bytes (entry size × count), found 8',
    );
  });

  it('updateMany() refuses half a key', () => {
    expect(() => makeMap('hash').updateMany({ keys: new Uint8Array(12), values: u64(1n) })).toThrow(
      'keys: expected 8 bytes (entry size × count), found 12',
    );
  });

  it('an empty batch is nothing to do', () => {
    const none = new Uint8Array();
    const map = makeMap('hash');
    expect([map.updateMany({ keys: none, values: none }), map.deleteMany(none)]).toEqual([0, 0]);
  });

  it('entries() of a queue says that it has no keys', () => {
    const queue = createMap({ name: 'queue', type: 'queue', keySize: 0, valueSize: 4, maxEntries: 4 });
    opened.push(queue);
    expect(() => queue.entries()).toThrow('map: "queue" has no keys to walk over');
  });

  it('closing the map lets work on the pool finish', async () => {
    const map = makeMap('hash');
    const written = map.updateManyAsync({ keys: keys(1, 2), values: u64(1n, 2n) });
    map.close();
    expect(await written).toBe(2);
  });
});

describeAsRoot('walks over other types', () => {
  it.each(['array', 'percpu_array', 'percpu_hash', 'lru_percpu_hash'] as const)('%s', (type) => {
    const map = createMap({ name: 'walk', type, keySize: 4, valueSize: 8, maxEntries: 300 });
    opened.push(map);
    for (let key = 0; key < 300; key++) map.update(u32(key), new Uint8Array(map.info.valueStride).fill(key & 255));
    const { count, keys: found, values } = map.entries({ sliceEntries: 7 });
    const numbers = new Uint32Array(found.buffer);
    if (type === 'lru_percpu_hash')
      expect(count).toBeGreaterThan(100); // An LRU may have evicted some already.
    else expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, key) => key));
    expect(values[map.info.valueStride * 5]).toBe((numbers[5] ?? 0) & 255);
  });

  it('a program array has only the slots that are filled', () => {
    const calls = createMap({ name: 'calls', type: 'prog_array', keySize: 4, valueSize: 4, maxEntries: 8 });
    opened.push(calls);
    expect(calls.entries().count).toBe(0);
  });
});
