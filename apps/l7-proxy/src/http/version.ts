// SPDX-License-Identifier: Apache-2.0
import { Byte } from './bytes.ts';

const prefix = Buffer.from('HTTP/1.', 'latin1');

/** Bytes of `HTTP/1.x`. */
export const versionLength = prefix.length + 1;

/**
 * The minor version of `HTTP/1.0` or `HTTP/1.1` at `start`, or undefined as soon as the bytes before `end` can be neither.
 * Says 1 as long as they may still become one of the two.
 */
export function parseVersion(bytes: Uint8Array, start: number, end: number): 0 | 1 | undefined {
  const prefixEnd = start + prefix.length;
  for (let i = start; i < prefixEnd && i < end; i++) {
    if (bytes[i] !== prefix[i - start]) return undefined;
  }
  if (end <= prefixEnd) return 1;
  const minorVersion = (bytes[prefixEnd] as number) - Byte.ZERO;
  return minorVersion === 0 || minorVersion === 1 ? minorVersion : undefined;
}
