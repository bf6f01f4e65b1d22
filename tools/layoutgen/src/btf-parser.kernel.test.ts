// SPDX-License-Identifier: Apache-2.0
// bpftool is the oracle: what it prints of an object is what the parser must have read.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parseBtf } from './btf-parser.ts';
import type { BtfType } from './btf-types.ts';
import { fixture, withObject } from './compile-fixture.ts';
import { parseElf } from './elf.ts';

const missing = spawnSync('bpftool', ['version']).status === 0 ? undefined : 'bpftool is not installed';
const itWithBpftool = missing === undefined ? it : it.skip;

/** A type in the words of `bpftool -j btf dump`. */
function asBpftool(type: BtfType): Record<string, unknown> {
  switch (type.kind) {
    case 'int': {
      const encodings = { unsigned: '(none)', signed: 'SIGNED', char: 'CHAR', bool: 'BOOL' };
      const { size, bits, bitOffset, encoding } = type;
      return { kind: 'INT', size, nr_bits: bits, bits_offset: bitOffset, encoding: encodings[encoding] };
    }
    case 'array':
      return { kind: 'ARRAY', type_id: type.element, nr_elems: type.length };
    case 'struct':
    case 'union': {
      const members = type.members.map(({ name, type: id, bitOffset, bitfieldSize }) => ({
        name: name === '' ? '(anon)' : name,
        type_id: id,
        bits_offset: bitOffset,
        ...(bitfieldSize === 0 ? {} : { bitfield_size: bitfieldSize }),
      }));
      return { kind: type.kind.toUpperCase(), size: type.size, members };
    }
    case 'enum':
      return { size: type.size, values: type.values.map(({ name, value }) => ({ name, val: Number(value) })) };
    case 'declTag':
      return { kind: 'DECL_TAG', type_id: type.type, component_idx: type.component };
    case 'dataSection':
      return { kind: 'DATASEC', vars: type.variables.map((id) => expect.objectContaining({ type_id: id })) };
    case 'variable':
      return { kind: 'VAR', type_id: type.type };
    case 'typedef':
    case 'const':
    case 'volatile':
      return { kind: type.kind.toUpperCase(), type_id: type.type };
    case 'pointer':
      return { kind: 'PTR', type_id: type.type };
    default:
      return {};
  }
}

function compare(path: string, section: Uint8Array): void {
  const dump = execFileSync('bpftool', ['-j', 'btf', 'dump', 'file', path], { maxBuffer: 256 << 20 });
  const expected = (JSON.parse(dump.toString()) as { types: Record<string, unknown>[] }).types;
  const types = parseBtf(section);
  expect(types.length).toBe(expected.length + 1);
  expected.forEach((one, index) => {
    const type = types[index + 1]!;
    const name = 'name' in type && type.name !== '' ? type.name : '(anon)';
    expect({ ...one }).toMatchObject({ name, ...asBpftool(type) });
  });
}

describe('parseBtf()', () => {
  itWithBpftool(`reads the fixture as bpftool does${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
    withObject(fixture, (path) => {
      compare(path, parseElf(readFileSync(path)).sections.get('.BTF')!);
    });
  });

  itWithBpftool('reads bitfields, functions and forward declarations as bpftool does', () => {
    const source = `
      struct later;
      struct bits { unsigned a : 3; unsigned b : 29; struct later *c; int (*call)(int); char d; double e; } export_bits;
      int answer(struct bits *in) { return in->a; }`;
    withObject(source, (path) => {
      compare(path, parseElf(readFileSync(path)).sections.get('.BTF')!);
    });
  });
});
