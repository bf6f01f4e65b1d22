// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';

/** The value below which a share `q` of the values lies, from 0 to 1; between two values it is interpolated. */
export function quantile(values: readonly number[], q: number): number {
  assert(values.length > 0, 'a quantile needs at least one value');
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Median of the ratios of the pairs, which shakes less than the ratio of the medians; pairs are runs made turn by turn. */
export function pairedRatio(ours: readonly number[], baseline: readonly number[]): number {
  assert(ours.length === baseline.length, `runs are pairs, found ${ours.length} of ours and ${baseline.length} others`);
  return median(ours.map((value, index) => value / (baseline[index] ?? Number.NaN)));
}
