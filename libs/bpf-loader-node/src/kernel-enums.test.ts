// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { attachType, linkType, mapType, programType, type KernelEnum } from './kernel-enums.ts';

const header = '/usr/include/linux/bpf.h';

/** The names of an enumeration in the installed kernel header, without their prefix, in lower case. */
function namesInHeader(enumeration: string, prefix: string): string[] {
  const body = new RegExp(`enum ${enumeration} \\{([^}]*)\\}`).exec(readFileSync(header, 'utf8'))?.[1] ?? '';
  return [...body.matchAll(new RegExp(`^\\s*${prefix}(\\w+)(?: = \\d+)?,`, 'gm'))].map(([, name = '']) =>
    name.toLowerCase(),
  );
}

const describeWithHeader = existsSync(header) ? describe : describe.skip;

describeWithHeader('the lists of the kernel', () => {
  it.each([
    ['map types', mapType, 'bpf_map_type', 'BPF_MAP_TYPE_'],
    ['program types', programType, 'bpf_prog_type', 'BPF_PROG_TYPE_'],
    ['link types', linkType, 'bpf_link_type', 'BPF_LINK_TYPE_'],
    ['attach types', attachType, 'bpf_attach_type', 'BPF_'],
  ] as [string, KernelEnum<string>, string, string][])(
    '%s have the numbers of the header',
    (_, list, enumeration, prefix) => {
      const names = namesInHeader(enumeration, prefix);
      expect(names.length).toBeGreaterThan(5);
      expect(list.names.slice(0, names.length)).toEqual(names);
    },
  );
});

describe('numberOf() and nameOf()', () => {
  it('are each other’s inverse', () => {
    for (const name of mapType.names) expect(mapType.nameOf(mapType.numberOf(name))).toBe(name);
  });

  it('numberOf() refuses a name that is not in the list', () => {
    expect(() => mapType.numberOf('hsah' as never)).toThrow('Unknown map type "hsah": expected one of unspec, hash');
  });

  it('nameOf() shows a number newer than the list', () => {
    expect(linkType.nameOf(999)).toBe('unknown(999)');
  });
});
