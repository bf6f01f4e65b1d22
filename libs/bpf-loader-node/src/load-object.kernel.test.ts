// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { describeAsRoot, emptyPacket, sampleSpec, temporaryBpffs, u32, u64 } from '../testing/sample.ts';
import { createMap, loadObject, loadObjectAsync, openObject, openPinnedMap, VerifierError } from './index.ts';
import type { BpfObject, LoadOptions, MapLoadOptions } from './index.ts';

const spec = sampleSpec();
const opened: { close(): void }[] = [];
afterEach(() => {
  for (const object of opened.splice(0)) object.close();
});

function keep<Closable extends { close(): void }>(object: Closable): Closable {
  opened.push(object);
  return object;
}

function load(options?: LoadOptions): BpfObject {
  return keep(loadObject(spec, options));
}

/** What `show_variables` saw: see the program. */
function shown(object: BpfObject): bigint[] {
  object.program('show_variables').testRun({ data: emptyPacket() });
  return [...new BigInt64Array(object.map('results').entries().values.buffer)];
}

describe('openObject()', () => {
  it('lists maps as declared', () => {
    expect(spec.maps.find(({ name }) => name === 'counters')).toEqual({
      name: 'counters',
      type: 'hash',
      keySize: 4,
      valueSize: 8,
      maxEntries: 128,
      flags: 0,
      internal: false,
      pinByName: true,
    });
    expect(spec.maps.find(({ name }) => name === 'outer')?.inner).toMatchObject({ type: 'hash', maxEntries: 8 });
    expect(spec.maps.find(({ name }) => name === '.rodata')?.internal).toBe(true);
  });

  it('lists programs with section, type and hook', () => {
    expect(spec.programs.find(({ name }) => name === 'deny_connect')).toMatchObject({
      section: 'cgroup/connect4',
      type: 'cgroup_sock_addr',
      expectedAttachType: 'cgroup_inet4_connect',
      autoload: true,
    });
    expect(spec.programs.find(({ name }) => name === 'drop_packets')).not.toHaveProperty('expectedAttachType');
  });

  it('lists constants and initialised variables with their types', () => {
    const variables = Object.fromEntries(spec.variables.map(({ name, ...rest }) => [name, rest]));
    expect(variables['offset_value']).toMatchObject({ section: '.rodata', size: 2, encoding: 'signed' });
    expect(variables['enabled']).toMatchObject({ size: 1, encoding: 'boolean' });
    expect(variables['pair']).toMatchObject({ size: 8, encoding: 'bytes' });
    expect(variables['plain_counter']).toMatchObject({ section: '.data', encoding: 'unsigned' });
    expect(variables).not.toHaveProperty('zeroed_counter');
  });

  it('reads bytes as well as a file', () => {
    const { maps } = openObject({ bytes: spec.bytes, name: 'sample' });
    expect(maps).toEqual(spec.maps);
  });

  it('names a file that is not there', () => {
    expect(() => openObject({ path: '/nowhere/weir.bpf.o' })).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  });

  it('says what libbpf thinks of a file that is no object, and keeps all of it', () => {
    const open = (): unknown => openObject({ bytes: new Uint8Array(100), name: 'junk' });
    expect(open).toThrow(/Cannot read the BPF object "junk": .*ELF/);
    expect(open).toThrow(expect.objectContaining({ log: expect.stringContaining('libbpf: ') }));
  });
});

describeAsRoot('loadObject() variables', () => {
  it('have the values of the source unless told', () => {
    expect(shown(load()).slice(0, 6)).toEqual([7n, -3n, 0n, 1n, (1n << 32n) | 2n, 5n]);
  });

  it('take what they are given, .rodata and .data alike', () => {
    const variables = {
      answer: 42,
      offset_value: -32768,
      enabled: true,
      big_number: 2n ** 62n,
      pair: u32(8, 9),
      plain_counter: 6,
    };
    expect(shown(load({ variables })).slice(0, 6)).toEqual([42n, -32768n, 1n, 2n ** 62n, (8n << 32n) | 9n, 6n]);
  });

  it('do not leak into the next load of the same spec', () => {
    load({ variables: { answer: 42 } });
    expect(shown(load())[0]).toBe(7n);
  });

  it('extern kconfig values come from the kernel, the caller, or are 0 if weak', () => {
    const version = shown(load())[7]!;
    expect(Number(version >> 16n)).toBeGreaterThanOrEqual(5);
    expect(shown(load())[6]).toBe(0n);
    const configured = keep(loadObject(sampleSpec('sample', 'CONFIG_WEIR_TEST=77\n')));
    expect(shown(configured)[6]).toBe(77n);
  });
});

describeAsRoot('loadObject() programs and maps', () => {
  it('loads all programs unless told, without those that are switched off', () => {
    expect(load().programs.size).toBe(spec.programs.length);
    const fewer = load({ programs: { xdp_pass: false } });
    expect(fewer.programs.has('xdp_pass')).toBe(false);
    expect(() => fewer.program('xdp_pass')).toThrow('No program "xdp_pass" was loaded; there are show_variables');
  });

  it('overrides the number of entries', () => {
    expect(load({ maps: { counters: { maxEntries: 5 } } }).map('counters').info.maxEntries).toBe(5);
  });

  it('refuses names that the object does not have', () => {
    expect(() => load({ maps: { countres: {} } })).toThrow('maps: "countres" is not in the object; it has counters');
    expect(() => load({ programs: { nope: true } })).toThrow('programs: "nope" is not in the object');
    expect(() => load({ variables: { nope: 1 } })).toThrow('variables: "nope" is not a variable');
  });

  it('uses a map of the caller', () => {
    const given = keep(createMap({ name: 'mine', type: 'hash', keySize: 4, valueSize: 8, maxEntries: 128 }));
    const object = load({ maps: { counters: { use: given } } });
    object.program('count_packets').testRun({ data: emptyPacket() });
    expect(given.lookup(u32(7))).toEqual(u64(1n));
  });

  it('loads the same on a pool thread', async () => {
    const object = keep(await loadObjectAsync(spec, { variables: { answer: 5 } }));
    expect(shown(object)[0]).toBe(5n);
  });
});

describeAsRoot('loadObject() pins', () => {
  const bpffs = temporaryBpffs();
  const pinned = (name: string, existing: 'adopt' | 'replace', more: MapLoadOptions = {}): LoadOptions => ({
    maps: { counters: { pin: { path: bpffs.path(name), existing }, ...more } },
  });

  it('"adopt" pins a new map and takes it over the next time', () => {
    const first = load(pinned('adopted', 'adopt'));
    expect([...first.adopted]).toEqual([]);
    first.map('counters').update(u32(1), u64(9n));
    first.close();
    const second = load(pinned('adopted', 'adopt'));
    expect([...second.adopted]).toEqual(['counters']);
    expect(second.map('counters').lookup(u32(1))).toEqual(u64(9n));
  });

  it('"replace" leaves the old map to whoever has it and pins a new one', () => {
    const first = load(pinned('replaced', 'replace'));
    const second = load(pinned('replaced', 'replace'));
    const found = keep(openPinnedMap(bpffs.path('replaced')));
    expect(found.info.id).toBe(second.map('counters').info.id);
    expect(found.info.id).not.toBe(first.map('counters').info.id);
  });

  it('"adopt" tells all differences of all maps in one error, and changes nothing', () => {
    keep(createMap({ name: 'other', type: 'array', keySize: 4, valueSize: 4, maxEntries: 9 })).pin(
      bpffs.path('differs'),
    );
    keep(createMap({ name: 'ring', type: 'ringbuf', keySize: 0, valueSize: 0, maxEntries: 8192 })).pin(
      bpffs.path('ring'),
    );
    const both: LoadOptions = {
      maps: {
        ...pinned('differs', 'adopt').maps,
        events: { pin: { path: bpffs.path('ring'), existing: 'adopt' } },
      },
    };
    expect(() => load(both)).toThrow(
      expect.objectContaining({
        code: 'CORRUPT_STATE',
        message: expect.stringMatching(
          /"counters" \(pinned at ".*differs"\) type is array, expected hash; .*valueSize is 4, expected 8; .*maxEntries is 9, expected 128; "events" .*maxEntries is 8192, expected 4096/,
        ),
      }),
    );
    expect(keep(openPinnedMap(bpffs.path('differs'))).info.type).toBe('array');
  });

  it('"adopt" compares with the number of entries that was asked for', () => {
    load(pinned('resized', 'adopt', { maxEntries: 10 }));
    expect(load(pinned('resized', 'adopt', { maxEntries: 10 })).adopted.size).toBe(1);
    expect(() => load(pinned('resized', 'adopt', { maxEntries: 11 }))).toThrow('maxEntries is 10, expected 11');
  });

  it('leaves no pin behind when one of them cannot be made', () => {
    const maps = {
      counters: { pin: { path: bpffs.path('undone'), existing: 'adopt' } },
      results: { pin: { path: '/nowhere/results', existing: 'adopt' } },
    } as const;
    expect(() => load({ maps })).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    expect(existsSync(bpffs.path('undone'))).toBe(false);
  });
});

describeAsRoot('a program that the verifier refuses', () => {
  it('is a VerifierError with reason, source line and the whole log', async () => {
    const refused = sampleSpec('rejected');
    const error = await loadObjectAsync(refused).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(VerifierError);
    expect(error).toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      errnoName: 'EACCES',
      operation: 'bpf_object__load',
      message: expect.stringMatching(/refused "read_too_far" at "return .*": invalid access to packet/),
      log: expect.stringContaining('BEGIN PROG LOAD LOG'),
    });
    expect(() => loadObject(refused)).toThrow(VerifierError);
  });
});
