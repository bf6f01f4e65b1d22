// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import { compile, fixture } from './compile-fixture.ts';
import type { Layout, StructLayout } from './layout.ts';
import { readLayout } from './read-layout.ts';

const types = 'typedef unsigned char __u8; typedef unsigned int __u32; typedef unsigned long long __u64;';
const refusal = (members: string, before = ''): string => {
  try {
    readLayout(compile(`${types} ${before} struct odd { ${members} }; struct odd export_odd;`));
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
};

describe('readLayout()', () => {
  let layout: Layout;
  beforeAll(() => {
    layout = readLayout(compile(fixture));
  });
  const struct = (name: string): StructLayout => layout.structs.find((candidate) => candidate.name === name)!;

  it('exports what maps refer to and what export_ variables mark, contained structs first', () => {
    expect(layout.structs.map(({ name }) => name)).toEqual(['flow_key', 'side', 'flow_entry', 'drop_event']);
    expect(layout.enums.map(({ name }) => name)).toEqual(['drop_reason', 'event_type', 'limits']);
  });

  it('gives offset, size, count and doc of every member', () => {
    const { size, doc, fields } = struct('flow_key');
    expect({ size, doc }).toEqual({ size: 40, doc: 'Both ends of a flow' });
    expect(fields.map(({ name, offset, padding }) => [name, offset, padding])).toEqual([
      ['source', 0, false],
      ['destination', 16, false],
      ['source_port', 32, false],
      ['destination_port', 34, false],
      ['protocol', 36, false],
      ['pad', 37, true],
    ]);
    expect(fields[2]).toMatchObject({ doc: 'Port of the source', type: { bits: 16, bigEndian: true } });
    expect(struct('flow_entry').fields.find(({ name }) => name === 'sides')).toMatchObject({
      offset: 24,
      size: 24,
      count: 2,
      type: { kind: 'struct', name: 'side' },
    });
  });

  it('takes a union that spans a byte array for that array', () => {
    expect(struct('flow_key').fields[0]?.type).toEqual({ kind: 'bytes', length: 16 });
  });

  it('names enumerators without what repeats the enum, leaves sentinels out and finds their texts', () => {
    expect(layout.enums[0]?.entries).toEqual([
      { name: 'policy_denied', value: 133, text: 'Policy denied' },
      { name: 'invalid_source_mac', value: 134, text: 'Invalid source MAC' },
    ]);
    expect(layout.enums[2]?.entries).toEqual([
      { name: 'addr_len', value: 16 },
      { name: 'entries_max', value: 65536 },
    ]);
  });

  it('reads maps with their attributes, inner map and version', () => {
    const byName = Object.fromEntries(layout.maps.map((map) => [map.name, map]));
    expect(byName['weir_flows_v2']).toMatchObject({
      subject: 'flows',
      version: 2,
      type: 'lru_hash',
      keySize: 40,
      valueSize: 80,
      maxEntries: 65536,
      doc: 'Flows seen',
    });
    expect(byName['weir_counters_v1']).toMatchObject({ type: 'percpu_array', flags: 1024, valueSize: 8 });
    expect(byName['weir_policies_v1']).toMatchObject({
      type: 'hash_of_maps',
      valueSize: 4,
      inner: { type: 'hash', maxEntries: 128 },
    });
    expect(byName['weir_events_v1']).toMatchObject({ type: 'ringbuf', keySize: 0, maxEntries: 1 << 20 });
  });

  it('reads const volatile variables with their initialisers', () => {
    expect(layout.config.map(({ name, initial }) => [name, [...initial]])).toEqual([
      ['host_ifindex', [7, 0, 0, 0]],
      ['rate_limit_ns', [0x40, 0x42, 0x0f, 0, 0, 0, 0, 0]],
      ['host_mac', [0xee, 0xee, 0xee, 0xee, 0xee, 0xee]],
      ['policy_enabled', [1]],
    ]);
  });

  it.each([
    ['__u8 a; __u32 b;', 'struct odd: 3 bytes of implicit padding at offset 1, after member "a"'],
    ['__u64 a; __u32 b;', 'struct odd: 4 bytes of implicit padding at offset 12, after member "b"'],
    ['__u32 a : 3; __u32 b : 29;', 'struct odd, member "a": bitfields are not supported'],
    ['void *a;', 'struct odd, member "a": a pointer means nothing outside the kernel'],
    ['union { __u32 b; } a;', 'struct odd, member "a": a union has no one meaning'],
    ['union { __u32 a; __u8 b[3]; };', 'struct odd: anonymous unions are not supported'],
    ['struct { __u32 b; __u32 c; } a;', 'struct odd, member "a": its struct has no name'],
    ['__u32 a; __u32 b[];', 'struct odd, member "b": flexible arrays are not supported'],
    ['double a;', 'struct odd, member "a": float is not supported'],
  ])('refuses { %s }', (members, message) => {
    expect(refusal(members)).toContain(`Cannot lay out ${message}`);
  });

  it('takes the members of an anonymous struct for members of the struct around it', () => {
    const source = `${types} struct outer { __u32 a; struct { __u32 b; __u32 c; }; }; struct outer *export_outer;`;
    const fields = readLayout(compile(source)).structs[0]?.fields;
    expect(fields?.map(({ name, offset }) => [name, offset])).toEqual([
      ['a', 0],
      ['b', 4],
      ['c', 8],
    ]);
  });

  it('refuses enumerators whose sign BTF does not tell, and those with nothing left of their name', () => {
    const read = (source: string) => () => readLayout(compile(source));
    expect(read('enum sign { SIGN_BELOW = -1 } export_sign;')).toThrow(
      'SIGN_BELOW: 4294967295 is negative or too large',
    );
    expect(read('enum a_b { A_B = 1 } export_ab;')).toThrow('Cannot lay out A_B: ""');
    expect(read('enum a { A_B, B } export_a;')).toThrow('enum a: two enumerators become "b"');
  });

  it('refuses two types that would share a name in TypeScript', () => {
    const source = `${types} struct a_b { __u32 x; } export_1; struct aB { __u32 x; } export_2;`;
    expect(() => readLayout(compile(source))).toThrow('Cannot lay out "aB": two types become "aB"');
  });

  it('refuses a file that is not a BPF object, and one without BTF', () => {
    expect(() => readLayout(Buffer.from('not an object'))).toThrow('it is not an ELF file');
    const stripped = compile('int unused;');
    stripped.writeUInt16LE(62, 18);
    expect(() => readLayout(stripped)).toThrow('its machine is 62, expected 247 (BPF)');
  });
});
