// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

const units = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
type Unit = keyof typeof units;

/** Reads `64KiB`, `4MiB` or `512B`. INVALID_ARGUMENT for anything else. */
export function parseByteCount(text: string): number {
  const match = /^(\d{1,9})(B|KiB|MiB|GiB)$/.exec(text);
  if (match === null) throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a size like "512B", "64KiB" or "4MiB"`);
  return Number(match[1]) * units[match[2] as Unit];
}

/** The size in the largest unit that divides it. */
export function formatByteCount(count: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find((name) => count > 0 && count % units[name] === 0) ?? 'B';
  return `${count / units[unit]}${unit}`;
}
