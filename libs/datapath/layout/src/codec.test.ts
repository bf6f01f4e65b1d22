// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  be16,
  be32,
  be64,
  bool,
  byteArray,
  fromBytes,
  s16,
  s32,
  s64,
  s8,
  toBytes,
  u16,
  u32,
  u64,
  u8,
} from './codec.ts';
import type { Codec } from './codec.ts';

describe('codecs of single values', () => {
  const integers: { name: string; codec: Codec<number>; min: number; max: number }[] = [
    { name: 'u8', codec: u8, min: 0, max: 255 },
    { name: 'u16', codec: u16, min: 0, max: 65535 },
    { name: 'u32', codec: u32, min: 0, max: 2 ** 32 - 1 },
    { name: 'be16', codec: be16, min: 0, max: 65535 },
    { name: 'be32', codec: be32, min: 0, max: 2 ** 32 - 1 },
    { name: 's8', codec: s8, min: -128, max: 127 },
    { name: 's16', codec: s16, min: -32768, max: 32767 },
    { name: 's32', codec: s32, min: -(2 ** 31), max: 2 ** 31 - 1 },
  ];

  it.each(integers)('$name gives back every value in its range', ({ codec, min, max }) => {
    fc.assert(
      fc.property(fc.integer({ min, max }), (value) => {
        expect(fromBytes(codec, toBytes(codec, value))).toBe(value);
      }),
    );
  });

  it.each(integers)('$name refuses what is just outside its range', ({ codec, min, max }) => {
    expect(() => toBytes(codec, min - 1)).toThrow(`expected an integer from ${min} to ${max}`);
    expect(() => toBytes(codec, max + 1)).toThrow(`expected an integer from ${min} to ${max}`);
    expect(() => toBytes(codec, Number.NaN)).toThrow('NaN');
  });

  it.each([
    ['u64', u64, { min: 0n, max: 2n ** 64n - 1n }],
    ['be64', be64, { min: 0n, max: 2n ** 64n - 1n }],
    ['s64', s64, { min: -(2n ** 63n), max: 2n ** 63n - 1n }],
  ])('%s gives back every value in its range and refuses the next', (_name, codec, range) => {
    fc.assert(
      fc.property(fc.bigInt(range), (value) => {
        expect(fromBytes(codec, toBytes(codec, value))).toBe(value);
      }),
    );
    expect(() => toBytes(codec, range.max + 1n)).toThrow('expected an integer');
    expect(() => toBytes(codec, range.min - 1n)).toThrow('expected an integer');
  });

  it('network order puts the high byte first, host order last', () => {
    expect([...toBytes(be16, 0x0102)]).toEqual([1, 2]);
    expect([...toBytes(u16, 0x0102)]).toEqual([2, 1]);
    expect([...toBytes(be32, 0x01020304)]).toEqual([1, 2, 3, 4]);
    expect([...toBytes(be64, 0x0102n)]).toEqual([0, 0, 0, 0, 0, 0, 1, 2]);
  });

  it('bool is one byte, and anything but zero is true', () => {
    expect([...toBytes(bool, true)]).toEqual([1]);
    expect(fromBytes(bool, Uint8Array.of(7))).toBe(true);
  });

  it('byteArray() copies in and out, and holds its length', () => {
    const source = Uint8Array.of(1, 2, 3);
    const bytes = toBytes(byteArray(3), source);
    source[0] = 9;
    expect([...bytes]).toEqual([1, 2, 3]);
    expect(() => toBytes(byteArray(4), source)).toThrow('The byte array is 3 long, expected 4');
  });

  it('fromBytes() refuses a buffer of another size', () => {
    expect(() => fromBytes(u32, new Uint8Array(5))).toThrow('The buffer is 5 long, expected 4');
  });
});
