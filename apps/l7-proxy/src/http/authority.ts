// SPDX-License-Identifier: Apache-2.0
import { Byte, hostNameBytes, ipLiteralBytes } from './bytes.ts';

const portDigitsMax = 5;

/**
 * True when `bytes[start, end)` is `host [ ":" port ]` as RFC 9110 7.2 wants it: a name, an IPv4 address or an IP literal in
 * brackets. No user information, and an empty host only where nothing at all stands.
 */
export function isAuthority(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end) return true;
  const hostEnd = bytes[start] === Byte.BRACKET_OPEN ? endOfIpLiteral(bytes, start, end) : endOfName(bytes, start, end);
  if (hostEnd === start) return false;
  return hostEnd === end || (bytes[hostEnd] === Byte.COLON && isPort(bytes, hostEnd + 1, end));
}

function endOfName(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && hostNameBytes[bytes[i] as number] === 1) i++;
  return i;
}

/** The byte behind the closing bracket, or `start` when this is no literal. */
function endOfIpLiteral(bytes: Uint8Array, start: number, end: number): number {
  let i = start + 1;
  while (i < end && ipLiteralBytes[bytes[i] as number] === 1) i++;
  return i > start + 1 && i < end && bytes[i] === Byte.BRACKET_CLOSE ? i + 1 : start;
}

function isPort(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > portDigitsMax) return false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte < Byte.ZERO || byte > Byte.NINE) return false;
  }
  return true;
}
