// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** A time as messages have it. */
export interface Timestamp {
  readonly seconds?: number | null;
  readonly nanos?: number | null;
}

/** Three, six or nine digits, or none: as many as are needed. */
function fraction(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  return `.${digits.replace(/(000)+$/, '')}`;
}

/** RFC 3339 in UTC. */
export function formatTimestamp({ seconds, nanos }: Timestamp): string {
  return new Date((seconds ?? 0) * 1_000).toISOString().replace('.000Z', `${fraction(nanos ?? 0)}Z`);
}

/** Reads RFC 3339. */
export function parseTimestamp(text: string): { seconds: number; nanos: number } {
  const match =
    /^(?<whole>\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(?<digits>\d{1,9}))?(?<zone>[Zz]|[+-]\d\d:\d\d)$/.exec(text);
  const milliseconds = match === null ? NaN : Date.parse(`${match.groups?.whole}${match.groups?.zone}`);
  if (Number.isNaN(milliseconds)) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a time; expected RFC 3339, as in 2026-01-02T03:04:05Z`);
  }
  return { seconds: milliseconds / 1_000, nanos: Number((match?.groups?.digits ?? '').padEnd(9, '0')) };
}

/** Milliseconds since 1970, with fractions. */
export const timestampMs = ({ seconds, nanos }: Timestamp): number => (seconds ?? 0) * 1_000 + (nanos ?? 0) / 1e6;

/** A time as messages have it, of milliseconds since 1970. */
export function timestampOf(milliseconds: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: Math.round((milliseconds - seconds * 1_000) * 1e6) };
}

/** Messages that JSON has as a bare value: `google.protobuf.BoolValue` and its like. */
export const isWrapper = (message: string): boolean =>
  /^google\.protobuf\.(Bool|U?Int(32|64)|String)Value$/.test(message);
