// SPDX-License-Identifier: Apache-2.0

/** One column: its own item for `share + 1` of 2³² random numbers, the item with the index `other` for the rest. */
export interface AliasColumn {
  readonly other: number;
  readonly share: number;
}

const whole = 2 ** 32;

/**
 * Walker's alias table by Vose's method: one column an item, so that an item is chosen with exactly its weight (to 2⁻³²) by
 * one look-up, whatever the weights are. With equal weights every column is its item's alone, and a table that has one
 * item more differs in one column.
 */
export function aliasTable(weights: readonly number[]): AliasColumn[] {
  if (weights.every((weight) => weight === weights[0])) return weights.map((_, other) => ({ other, share: whole - 1 }));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const scaled = weights.map((weight) => (weight * weights.length) / total);
  const columns = weights.map((_, index): AliasColumn => ({ other: index, share: whole - 1 }));
  const small = [...scaled.keys()].filter((index) => (scaled[index] ?? 0) < 1);
  const large = [...scaled.keys()].filter((index) => (scaled[index] ?? 0) > 1);
  for (;;) {
    const index = small.pop();
    const giver = large.at(-1);
    // What rounding leaves over on one side is within 2⁻³² of a whole column.
    if (index === undefined || giver === undefined) return columns;
    const have = scaled[index] ?? 0;
    columns[index] = { other: giver, share: Math.max(0, Math.round(have * whole) - 1) };
    const left = (scaled[giver] ?? 0) - (1 - have);
    scaled[giver] = left;
    if (left > 1 + 1e-12) continue;
    large.pop();
    if (left < 1 - 1e-12) small.push(giver);
  }
}
