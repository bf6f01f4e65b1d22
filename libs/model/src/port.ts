// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** The highest port number. */
export const portMax = 65535;

/** Reads a decimal port 1–65535. Throws INVALID_ARGUMENT; 0, signs, leading zeros and other bases are not ports. */
export function parsePort(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= portMax) return Number(text);
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a port (1–${portMax})`);
}
