// SPDX-License-Identifier: Apache-2.0
// Goal: no value that JavaScript can pass crashes the process or gets past a check. Method: call the addon itself, below
// the types, with seeded random arguments; then the misuses that random arguments do not hit.
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { describeAsRoot, emptyPacket, loadSample, u32, u64 } from '../testing/sample.ts';
import { bpfAddon } from './bpf-binding.ts';
import { createMap, encodeSkbContext, mapFlags, openRingReader } from './index.ts';
import type { BpfMap, BpfObject } from './index.ts';

const seed = Number(process.env['WEIR_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const calls = 20_000;

// Not called at random: these change the machine or the error factory on purpose.
const excluded = new Set([
  'setErrorFactory',
  'mountBpffs',
  'unmountBpffs',
  'linkCreateDevice',
  'linkCreateCgroup',
  'tcAttach',
]);
const isBpf = /^(map|scan|object|program|link|tc|ring|probe|detach|helper|page|close)/;

/** A generator that one number replays (mulberry32). */
function randomFrom(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

describeAsRoot('the addon', () => {
  let sample: BpfObject, map: BpfMap;
  // New ones for each test: a random call may freeze a map for ever.
  beforeEach(() => {
    sample = loadSample();
    map = createMap({ name: 'fuzz', type: 'hash', keySize: 4, valueSize: 8, maxEntries: 64 });
  });
  afterEach(() => {
    sample.close();
    map.close();
  });

  /** Values of every type, among them ones that are right somewhere. */
  function pool(): unknown[] {
    const detached = new Uint8Array(8);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    return [
      ...[
        undefined,
        null,
        true,
        false,
        '',
        'x',
        'zero\0byte',
        '/nowhere/pin',
        'ü'.repeat(3000),
        Symbol('s'),
        5n,
        -1n,
        2n ** 65n,
      ],
      ...[0, 1, 2, 3, 4, 8, 64, -1, 1.5, NaN, Infinity, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, -(2 ** 31)],
      ...[
        map.handle,
        map.handle,
        sample.program('count_packets').handle,
        sample.map('events').handle,
        map.handle + 2 ** 20,
      ],
      ...[new Uint8Array(), new Uint8Array(4), new Uint8Array(8), new Uint8Array(64), new Uint8Array(5), detached],
      ...[
        new Uint8Array(new SharedArrayBuffer(8)),
        new Float64Array(4),
        new DataView(new ArrayBuffer(8)),
        Buffer.alloc(4),
      ],
      ...[
        new ArrayBuffer(8),
        [],
        [['.rodata', 0, u32(1)]],
        [['counters', 5, undefined]],
        [1, 2],
        {},
        () => undefined,
        new Date(0),
      ],
    ];
  }

  it(`survives ${calls} random calls (replay with WEIR_FUZZ_SEED=${seed})`, async () => {
    const random = randomFrom(seed);
    const addon = bpfAddon() as unknown as Record<string, (...args: unknown[]) => unknown>;
    const names = Object.keys(addon).filter((name) => isBpf.test(name) && !excluded.has(name));
    expect(names.length).toBeGreaterThan(40);
    const promises: Promise<unknown>[] = [];
    const errors: unknown[] = [];
    const made: number[] = [];
    const values = pool();
    for (let i = 0; i < calls; i++) {
      const name = names[random(names.length)]!;
      // The handles of the test's own objects stay open, so that calls get past the first check.
      if (name === 'close') continue;
      const args = Array.from({ length: random(9) }, () => values[random(values.length)]);
      if (random(2) === 0) args[0] = map.handle;
      try {
        const result = addon[name]!(...args);
        if (typeof result === 'number' && result >= 2 ** 20) made.push(result);
        if (result instanceof Object && 'handle' in result) made.push(Number(result.handle));
        if (typeof (result as Promise<unknown> | undefined)?.then === 'function')
          promises.push(result as Promise<unknown>);
      } catch (error) {
        errors.push(error);
      }
      for (const handle of made.splice(0)) bpfAddon().close(handle);
    }
    const settled = await Promise.allSettled(promises);
    errors.push(...settled.filter((one) => one.status === 'rejected').map((one) => one.reason as unknown));
    expect(errors.filter((error) => !(error instanceof WeirError))).toEqual([]);
    expect(errors.length).toBeGreaterThan(calls / 4);
    expect(map.info.name).toBe('fuzz');
    expect(map.lookup(u32(77))).toBeUndefined();
  });

  it('a buffer that is given away during work on the pool does no harm', async () => {
    const [keys, values] = [u32(1, 2, 3), u64(1n, 2n, 3n)];
    const written = map.updateManyAsync({ keys, values });
    structuredClone(null, { transfer: [keys.buffer, values.buffer] });
    expect(await written).toBe(3);
    expect(map.lookup(u32(3))).toEqual(u64(3n));
  });

  it('memory of a ring reader that is given away lives as long as its new owner', async () => {
    const taken: ArrayBuffer[] = [];
    const reader = openRingReader(sample.map('events'), {
      intervalMs: 0,
      onBatch: ({ bytes }) => {
        taken.push((bytes.buffer as ArrayBuffer).transfer());
      },
    });
    const context = encodeSkbContext({ mark: 10 });
    for (let i = 0; i < 20 && taken.length === 0; i++) {
      sample.program('send_events').testRun({ data: emptyPacket(), context });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    reader.close();
    expect(new Uint8Array(taken[0]!).some((byte) => byte === 10)).toBe(true);
  });

  it('mapped memory that is given away lives as long as its new owner', () => {
    const array = createMap({
      name: 'a',
      type: 'array',
      keySize: 4,
      valueSize: 8,
      maxEntries: 1,
      flags: mapFlags.mmapable,
    });
    const memory = array.mmap();
    const moved = memory.buffer.transfer();
    memory.close();
    array.close();
    new BigUint64Array(moved)[0] = 5n;
    expect(new BigUint64Array(moved)[0]).toBe(5n);
  });
});
