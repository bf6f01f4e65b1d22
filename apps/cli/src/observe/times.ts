// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Timestamp, timestampOf } from '@weir/flow';

const unitsMs: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};
const durationPattern = /^(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+$/;
const partPattern = /(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g;

/** How far back `1h30m` is, in milliseconds; undefined for what is no duration. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  return [...text.matchAll(partPattern)].reduce(
    (sum, [, number, unit]) => sum + Number(number) * (unitsMs[unit ?? ''] ?? 0),
    0,
  );
}

// A day, an hour, a minute, with or without a time zone; RFC 3339; RFC 1123 with a numeric zone.
const datePatterns: readonly RegExp[] = [
  /^\d{4}-\d\d-\d\d$/,
  /^\d{4}-\d\d-\d\dT\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)$/,
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/,
  /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/,
];

/** Reads a time: how long ago, as in `5m` or `1h43m`, or a date as in `2026-01-02` or `2026-01-02T03:04:05Z`. */
export function parseTime(text: string, nowMs = Date.now()): Timestamp {
  const ago = parseDuration(text);
  if (ago !== undefined) return timestampOf(nowMs - ago);
  const isDate = datePatterns.some((pattern) => pattern.test(text));
  const milliseconds = isDate ? Date.parse(text.replace(/T(\d\d)(Z|[+-])/, 'T$1:00$2')) : NaN;
  if (Number.isNaN(milliseconds)) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `"${text}" is neither a duration, as in 5m, nor a time, as in 2026-01-02T03:04:05Z`,
    );
  }
  return timestampOf(milliseconds);
}
