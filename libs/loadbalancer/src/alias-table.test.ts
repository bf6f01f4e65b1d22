// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { aliasTable } from './alias-table.ts';

describe('aliasTable()', () => {
  it('gives every item exactly its weight, to one part in a million', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 200 }), (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const shares = weights.map(() => 0);
        aliasTable(weights).forEach(({ other, share }, index) => {
          const own = (share + 1) / 2 ** 32;
          shares[index]! += own / weights.length;
          shares[other]! += (1 - own) / weights.length;
        });
        shares.forEach((share, index) => expect(Math.abs(share - weights[index]! / total)).toBeLessThan(1e-6));
      }),
    );
  });

  it('has no alias where all weights are the same', () => {
    const columns = aliasTable(Array.from({ length: 97 }, () => 3));
    columns.forEach(({ other, share }, index) => expect([other, share]).toEqual([index, 0xffffffff]));
  });
});
