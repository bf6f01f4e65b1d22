// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { DeclaredVariable, ObjectSpec } from './object-spec.ts';
import { planVariables, type VariableValue } from './variable-value.ts';

function specWith(variable: Partial<DeclaredVariable>): ObjectSpec {
  const variables = [
    { name: 'mtu', section: '.rodata', offset: 4, size: 4, encoding: 'unsigned' as const, ...variable },
  ];
  return { name: 'sample', bytes: new Uint8Array(), kconfig: '', maps: [], programs: [], variables };
}

function bytesOf(variable: Partial<DeclaredVariable>, value: VariableValue): number[] {
  return [...planVariables(specWith(variable), { mtu: value })[0]![2]];
}

describe('planVariables()', () => {
  it('puts a value where the object has the variable', () => {
    expect(planVariables(specWith({}), { mtu: 1500 })).toEqual([['.rodata', 4, new Uint8Array([0xdc, 5, 0, 0])]]);
  });

  it.each([
    ['the greatest unsigned byte', { size: 1 }, 255, [255]],
    ['a negative number', { size: 2, encoding: 'signed' }, -2, [0xfe, 0xff]],
    ['a 64-bit number as a bigint', { size: 8 }, 2n ** 64n - 1n, Array<number>(8).fill(255)],
    ['true', { size: 1, encoding: 'boolean' }, true, [1]],
    ['bytes for a struct', { size: 3, encoding: 'bytes' }, new Uint8Array([1, 2, 3]), [1, 2, 3]],
    ['bytes for a scalar', { size: 2 }, new Uint8Array([1, 2]), [1, 2]],
  ] as const)('writes %s', (_, variable, value, bytes) => {
    expect(bytesOf(variable, value)).toEqual(bytes);
  });

  it.each([
    ['an unsigned number that is too great', { size: 2 }, 65536, '"mtu" takes unsigned 16-bit numbers from 0 to 65535'],
    ['a negative unsigned number', {}, -1, '"mtu" takes unsigned 32-bit numbers from 0 to 4294967295, found -1'],
    [
      'a signed number that is too small',
      { size: 1, encoding: 'signed' },
      -129,
      'signed 8-bit numbers from -128 to 127',
    ],
    ['a fraction', {}, 1.5, '"mtu" takes an integer, found 1.5'],
    ['NaN', {}, Number.NaN, '"mtu" takes an integer, found NaN'],
    ['two for a boolean', { size: 1, encoding: 'boolean' }, 2, 'from 0 to 1, found 2'],
    ['bytes of the wrong size', {}, new Uint8Array(5), '"mtu" takes 4 bytes, found 5'],
    ['a number for a struct', { encoding: 'bytes' }, 5, '"mtu" takes a Uint8Array of 4 bytes, found number 5'],
  ] as const)('refuses %s, naming the variable', (_, variable, value, message) => {
    expect(() => bytesOf(variable, value)).toThrow(message);
  });

  it('refuses an unknown name and lists those there are', () => {
    expect(() => planVariables(specWith({}), { mtuu: 1 })).toThrow(
      'variables: "mtuu" is not a variable of the object "sample"; it has mtu',
    );
  });
});
