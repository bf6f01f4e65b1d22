// SPDX-License-Identifier: Apache-2.0

/** The longest varint of a number that is exact in a double. */
export const varintBytesMax = 10;

/** Writes a non-negative integer as a protobuf varint and returns the position behind it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  // Bitwise operators see 32 bits only.
  while (value >= 0x8000_0000) {
    bytes[position++] = (value % 128) | 0x80;
    value = Math.floor(value / 128);
  }
  while (value > 0x7f) {
    bytes[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[position++] = value;
  return position;
}

/** How many bytes `writeVarint` writes. */
export function varintLength(value: number): number {
  let length = 1;
  while (value > 0x7f) {
    value = Math.floor(value / 128);
    length++;
  }
  return length;
}
