// SPDX-License-Identifier: Apache-2.0
import { formatTimestamp, type Timestamp, timestampMs } from '../json/well-known.ts';

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

const two = (number: number): string => String(number).padStart(2, '0');
const clockOf = (date: Date): string =>
  `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
const monthOf = (date: Date): string => months[date.getUTCMonth()] ?? '';

/** How times are printed, by the name that the command line has for it. */
export const timeFormats = {
  StampMilli: (time: Timestamp) => {
    const date = new Date(timestampMs(time));
    const milliseconds = String(date.getUTCMilliseconds()).padStart(3, '0');
    return `${monthOf(date)} ${String(date.getUTCDate()).padStart(2)} ${clockOf(date)}.${milliseconds}`;
  },
  RFC3339: (time: Timestamp) => formatTimestamp({ seconds: time.seconds ?? 0 }),
  RFC3339Milli: (time: Timestamp) => new Date(timestampMs(time)).toISOString(),
  RFC3339Micro: (time: Timestamp) =>
    new Date((time.seconds ?? 0) * 1_000)
      .toISOString()
      .replace('.000Z', `.${String(Math.floor((time.nanos ?? 0) / 1_000)).padStart(6, '0')}Z`),
  RFC3339Nano: (time: Timestamp) =>
    new Date((time.seconds ?? 0) * 1_000)
      .toISOString()
      .replace('.000Z', `.${String(time.nanos ?? 0).padStart(9, '0')}Z`),
  RFC1123Z: (time: Timestamp) => {
    const date = new Date(timestampMs(time));
    const day = `${days[date.getUTCDay()]}, ${two(date.getUTCDate())} ${monthOf(date)} ${date.getUTCFullYear()}`;
    return `${day} ${clockOf(date)} +0000`;
  },
} as const;

/** A name of {@link timeFormats}. */
export type TimeFormat = keyof typeof timeFormats;
