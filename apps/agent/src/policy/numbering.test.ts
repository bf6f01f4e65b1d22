// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createNumbering } from './numbering.ts';

describe('createNumbering()', () => {
  it('gives the same text the same number in every process, and never 0', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const number = createNumbering<string>().numberOf(text, text);
        expect(createNumbering<string>().numberOf(text, text)).toBe(number);
        expect(number).toBeGreaterThan(0);
        expect(number).toBeLessThan(2 ** 32);
      }),
    );
    // What one agent has written into the kernel must mean the same to the next version.
    expect(createNumbering().numberOf('a', 0)).toBe(0xe4_0c_29_2c);
  });

  it('tells texts with the same hash apart', () => {
    const numbering = createNumbering<string>();
    // FNV-1a of 32 bits is the same for these two.
    const [a, b] = ['costarring', 'liquid'].map((text) => numbering.numberOf(text, text));
    expect(b).toBe((a ?? 0) + 1);
    expect(numbering.meaningOf(b ?? 0)).toBe('liquid');
    expect(numbering.numberOf('liquid', 'x')).toBe(b);
  });

  it('forgets all but what is named, and gives a forgotten text its number again', () => {
    const numbering = createNumbering<string>();
    const [a = 0, b = 0] = ['a', 'b'].map((text) => numbering.numberOf(text, text));
    expect(numbering.retain(new Set([a]))).toEqual([b]);
    expect([...numbering.entries()]).toEqual([[a, 'a']]);
    expect(numbering.meaningOf(b)).toBeUndefined();
    expect(numbering.numberOf('b', 'b')).toBe(b);
  });
});
