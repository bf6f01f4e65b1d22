// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { describeAsRoot, loadSample, temporaryBpffs, u32, u64 } from '../testing/sample.ts';
import {
  createMap,
  mapFlags,
  openMapById,
  openPinnedMap,
  openPinnedProgram,
  type BpfMap,
  type MapSpec,
} from './index.ts';

const opened: BpfMap[] = [];
function makeMap(spec: Partial<MapSpec> = {}): BpfMap {
  const map = createMap({ name: 'test', type: 'hash', keySize: 4, valueSize: 8, maxEntries: 64, ...spec });
  opened.push(map);
  return map;
}
afterEach(() => {
  for (const map of opened.splice(0)) map.close();
});

describeAsRoot('createMap()', () => {
  it('tells what the map is', () => {
    const map = makeMap({ type: 'lru_hash', maxEntries: 10 });
    expect(map.info).toMatchObject({
      name: 'test',
      type: 'lru_hash',
      keySize: 4,
      valueSize: 8,
      maxEntries: 10,
      flags: 0,
    });
  });

  it('names the whole specification when the kernel refuses it', () => {
    expect(() => makeMap({ type: 'lpm_trie', keySize: 8 })).toThrow(
      'Cannot create the map "test" (type 11, key 8 B, value 8 B, max entries 64, flags 0x0): Invalid argument (EINVAL)',
    );
  });

  it('refuses a name that is too long for the kernel', () => {
    expect(() => makeMap({ name: 'a_name_of_sixteen' })).toThrow('name: expected at most 15 bytes, found 17');
  });
});

describeAsRoot('BpfMap elements', () => {
  it('lookup() gives undefined for a missing key and the value for a present one', () => {
    const map = makeMap();
    expect(map.lookup(u32(1))).toBeUndefined();
    map.update(u32(1), u64(7n));
    expect(map.lookup(u32(1))).toEqual(u64(7n));
  });

  it('lookup() writes into the buffer of the caller', () => {
    const map = makeMap();
    const value = new Uint8Array(8);
    map.update(u32(1), u64(9n));
    expect(map.lookup(u32(1), value)).toBe(value);
    expect(value).toEqual(u64(9n));
  });

  it('update() says whether the mode was met', () => {
    const map = makeMap();
    expect(map.update(u32(1), u64(1n), 'replace')).toBe(false);
    expect(map.update(u32(1), u64(1n), 'create')).toBe(true);
    expect(map.update(u32(1), u64(2n), 'create')).toBe(false);
    expect(map.update(u32(1), u64(3n), 'replace')).toBe(true);
    expect(map.lookup(u32(1))).toEqual(u64(3n));
  });

  it('update() of a full hash is RESOURCE_EXHAUSTED and names the limit', () => {
    const map = makeMap({ maxEntries: 1 });
    map.update(u32(1), u64(1n));
    expect(() => map.update(u32(2), u64(2n))).toThrow(
      expect.objectContaining({
        code: 'RESOURCE_EXHAUSTED',
        errnoName: 'E2BIG',
        message: expect.stringContaining('max entries 1'),
      }),
    );
  });

  it('delete() says whether the key was there', () => {
    const map = makeMap();
    map.update(u32(1), u64(1n));
    expect([map.delete(u32(1)), map.delete(u32(1))]).toEqual([true, false]);
  });

  it('take() empties a queue in order', () => {
    const queue = makeMap({ type: 'queue', keySize: 0, valueSize: 4 });
    const none = new Uint8Array();
    queue.update(none, u32(1));
    queue.update(none, u32(2));
    expect([queue.take(none), queue.take(none), queue.take(none)]).toEqual([u32(1), u32(2), undefined]);
  });

  it('a per-CPU value is one aligned value for each possible CPU', () => {
    const map = makeMap({ type: 'percpu_array', valueSize: 4, maxEntries: 1 });
    expect(map.info.valueStride % 8).toBe(0);
    const value = new Uint8Array(map.info.valueStride).fill(1);
    map.update(u32(0), value);
    const cpus = new Uint32Array(map.lookup(u32(0))!.buffer).filter((_, index) => index % 2 === 0);
    expect(cpus.every((word) => word === 0x01010101)).toBe(true);
  });

  it('an LPM trie gives the longest prefix', () => {
    const map = makeMap({ type: 'lpm_trie', keySize: 8, valueSize: 4, flags: mapFlags.noPrealloc });
    const prefix = (length: number, ...address: number[]): Uint8Array => new Uint8Array([length, 0, 0, 0, ...address]);
    map.update(prefix(8, 10, 0, 0, 0), u32(8));
    map.update(prefix(24, 10, 1, 2, 0), u32(24));
    expect(map.lookup(prefix(32, 10, 1, 2, 3))).toEqual(u32(24));
    expect(map.lookup(prefix(32, 10, 9, 9, 9))).toEqual(u32(8));
    expect(map.lookup(prefix(32, 11, 0, 0, 0))).toBeUndefined();
  });

  it('a map of maps holds inner maps and gives them back', () => {
    const inner = makeMap({ name: 'inner', valueSize: 4 });
    const outer = makeMap({ type: 'hash_of_maps', valueSize: 4, inner });
    outer.updateInner(u32(5), inner);
    inner.update(u32(1), u32(11));
    const found = outer.lookupInner(u32(5))!;
    expect(found.info.id).toBe(inner.info.id);
    expect(found.lookup(u32(1))).toEqual(u32(11));
    found.close();
    expect(outer.lookupInner(u32(6))).toBeUndefined();
  });

  it('a frozen map can be read but not written from user space', () => {
    const map = makeMap();
    map.update(u32(1), u64(1n));
    map.freeze();
    expect(map.lookup(u32(1))).toEqual(u64(1n));
    expect(() => map.update(u32(1), u64(2n))).toThrow(expect.objectContaining({ errnoName: 'EPERM' }));
  });
});

describeAsRoot('BpfMap.mmap()', () => {
  it('shares memory with the map, both ways', () => {
    const map = makeMap({ type: 'array', maxEntries: 4, flags: mapFlags.mmapable });
    const memory = map.mmap();
    const values = new BigUint64Array(memory.buffer);
    expect(values.length).toBe(4);
    map.update(u32(2), u64(77n));
    expect(Atomics.load(values, 2)).toBe(77n);
    Atomics.store(values, 3, 88n);
    expect(map.lookup(u32(3))).toEqual(u64(88n));
    memory.close();
  });

  it('outlives the descriptor, and is empty once closed', () => {
    const map = makeMap({ type: 'array', maxEntries: 1, flags: mapFlags.mmapable });
    const memory = map.mmap();
    const values = new BigUint64Array(memory.buffer);
    map.close();
    values[0] = 5n;
    expect(values[0]).toBe(5n);
    memory.close();
    expect(values.length).toBe(0);
    expect(memory.buffer.byteLength).toBe(0);
    memory.close();
  });

  it('refuses a map that cannot be mapped and says what is needed', () => {
    expect(() => makeMap().mmap()).toThrow('an array with BPF_F_MMAPABLE, not frozen, is needed');
  });
});

describeAsRoot('BpfMap pins', () => {
  const bpffs = temporaryBpffs();

  it('openPinnedMap() opens the same map', () => {
    const map = makeMap();
    map.pin(bpffs.path('same'));
    const again = openPinnedMap(bpffs.path('same'));
    opened.push(again);
    expect(again.info).toEqual(map.info);
  });

  it('pin() refuses an occupied path, and takes it with replace', () => {
    const [first, second] = [makeMap(), makeMap()];
    first.pin(bpffs.path('taken'));
    expect(() => second.pin(bpffs.path('taken'))).toThrow(expect.objectContaining({ code: 'ALREADY_EXISTS' }));
    second.pin(bpffs.path('taken'), { replace: true });
    opened.push(openPinnedMap(bpffs.path('taken')));
    expect(opened.at(-1)!.info.id).toBe(second.info.id);
  });

  it('pin() outside a BPF file system says so', () => {
    expect(() => makeMap().pin('/tmp/weir-no-pin')).toThrow('Cannot pin in "/tmp", which is not on a BPF file system');
  });

  it('pin() with a dot in the name says that such names are reserved', () => {
    expect(() => makeMap().pin(bpffs.path('a.b'))).toThrow('the BPF file system reserves names with a dot');
  });

  it('openPinnedMap() of nothing is NOT_FOUND', () => {
    expect(() => openPinnedMap(bpffs.path('nothing'))).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  it('opening a map as a program says what it is', () => {
    makeMap().pin(bpffs.path('map'));
    expect(() => openPinnedProgram(bpffs.path('map'))).toThrow('as a program: it is "anon_inode:bpf-map"');
  });

  it('openMapById() opens the same map', () => {
    const map = makeMap();
    opened.push(openMapById(map.info.id));
    expect(opened.at(-1)!.info).toEqual(map.info);
  });
});

describeAsRoot('BpfMap after close()', () => {
  it('throws FAILED_PRECONDITION from every call, and may be closed again', () => {
    const map = makeMap();
    map.close();
    map.close();
    const closed = expect.objectContaining({ code: 'FAILED_PRECONDITION', message: 'Map is closed' });
    expect(() => map.lookup(u32(1))).toThrow(closed);
    expect(() => map.update(u32(1), u64(1n))).toThrow(closed);
    expect(() => map.entries()).toThrow(closed);
    expect(() => map.pin('/tmp/x')).toThrow(closed);
  });

  it('does not reach a map that was opened since', () => {
    const old = makeMap();
    old.close();
    makeMap().update(u32(1), u64(1n));
    expect(() => old.lookup(u32(1))).toThrow(WeirError);
  });
});

describeAsRoot('maps and programs', () => {
  it('a program finds inner maps and tail calls that JavaScript put there', () => {
    const sample = loadSample();
    try {
      const inner = makeMap({ name: 'inner', valueSize: 4, maxEntries: 8 });
      inner.update(u32(1), u32(1234));
      sample.map('outer').updateInner(u32(1), inner);
      expect(sample.program('look_into_inner').testRun({ data: new Uint8Array(64) }).retval).toBe(1234);
      sample.map('calls').updateProgram(u32(0), sample.program('look_into_inner'));
      expect(sample.program('call_tail').testRun({ data: new Uint8Array(64) }).retval).toBe(1234);
    } finally {
      sample.close();
    }
  });
});
