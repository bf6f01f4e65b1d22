// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof unitsMs;

/**
 * Milliseconds of a duration with units, as in `250ms`, `15m` or `1h30m`. INVALID_ARGUMENT for anything else; a bare number is
 * refused, because nobody can tell what it counts.
 */
export function parseDurationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)];
  const whole = parts.map((part) => part[0]).join('');
  if (parts.length === 0 || whole !== text) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a duration like "250ms", "15m" or "1h30m"`);
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * unitsMs[unit as Unit], 0);
}

/** The duration in the largest units that divide it: `900000` is `15m`. */
export function formatDurationMs(durationMs: number): string {
  let restMs = Math.round(durationMs);
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const count = Math.floor(restMs / unitsMs[unit]);
    if (count > 0) text += `${count}${unit}`;
    restMs -= count * unitsMs[unit];
  }
  return text === '' ? '0ms' : text;
}
