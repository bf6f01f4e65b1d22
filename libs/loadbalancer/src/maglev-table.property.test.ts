// SPDX-License-Identifier: Apache-2.0
// What Maglev promises: parts as the weights say, the same table everywhere, and little that moves when an item comes or goes.
import fc from 'fast-check';
import { type MaglevItem, maglevTable, maglevTableSizeDefault } from './maglev-table.ts';

const size = maglevTableSizeDefault;

/** Backends of a service that is in one network, as they are: keys that differ in little. */
const items = (weight: fc.Arbitrary<number>, max: number): fc.Arbitrary<MaglevItem[]> =>
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.array(weight, { minLength: 2, maxLength: max }))
    .map(([network, weights]) =>
      weights.map((each, index) => ({ key: `10.${network}.${index >> 8}.${index & 255}:8080`, weight: each })),
    );

const equalItems = items(fc.constant(1), 160);
// The worst there is: one that weighs ten among ones. It moves 0.8 % of the entries of 40 needlessly, and over 1 % of 60.
const weightedItems = items(fc.constantFrom(1, 1, 2, 3, 10), 40);

const keysOf = (of: readonly MaglevItem[], length = size): string[] =>
  Array.from(maglevTable(of, length), (index) => of[index]!.key);

function counts(keys: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const key of keys) found.set(key, (found.get(key) ?? 0) + 1);
  return found;
}

/** The part of the entries that are another's although neither side of the change is the reason. */
function movedNeedlessly(before: readonly string[], after: readonly string[], changed: string): number {
  const moved = before.filter((key, index) => key !== changed && after[index] !== changed && after[index] !== key);
  return moved.length / before.length;
}

describe('maglevTable()', () => {
  it('gives each item its part by weight, to one turn', () => {
    fc.assert(
      fc.property(weightedItems, (of) => {
        const total = of.reduce((sum, { weight }) => sum + weight, 0);
        const found = counts(keysOf(of));
        for (const { key, weight } of of) {
          expect(Math.abs((found.get(key) ?? 0) - (size * weight) / total)).toBeLessThanOrEqual(weight + 1);
        }
      }),
      { numRuns: 15 },
    );
  });

  it('is the same whatever the order of the items', () => {
    fc.assert(
      fc.property(weightedItems, fc.integer(), (of, turn) => {
        const other = [...of.slice(turn % of.length), ...of.slice(0, turn % of.length)].toReversed();
        expect(keysOf(other, 4_093)).toEqual(keysOf(of, 4_093));
      }),
      { numRuns: 10 },
    );
  });

  it.each([
    ['equal weights', equalItems],
    ['weights', weightedItems],
  ])('moves at most one per cent more than it must when one leaves or comes, with %s', (_what, some) => {
    fc.assert(
      fc.property(some, fc.nat(), (of, which) => {
        const gone = of[which % of.length]!;
        const [all, rest] = [keysOf(of), keysOf(of.filter((each) => each !== gone))];
        expect(movedNeedlessly(all, rest, gone.key)).toBeLessThanOrEqual(0.01);
        expect(movedNeedlessly(rest, all, gone.key)).toBeLessThanOrEqual(0.01);
      }),
      { numRuns: 15 },
    );
  });

  it('is the table that nodes of other versions have', () => {
    const of = ['a', 'b', 'c'].map((key, index) => ({ key, weight: index + 1 }));
    expect(keysOf(of, 7).join('')).toBe('cbaccbc');
  });
});
