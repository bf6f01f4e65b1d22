// SPDX-License-Identifier: Apache-2.0
import type { flow } from '@weir/proto';

const pairsMax = 16_384;
const macBytes = 6;

/** The two addresses of an Ethernet header as texts. A node sees the same ones again and again. */
export interface MacTexts {
  /** Of the header whose first twelve bytes are at a place; null where they are all zero. One object for each pair. */
  at(view: DataView, offset: number): flow.Ethernet.$Properties | null;
}

const textOf = (bytes: Buffer): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');

/** Keeps the last pairs, so many at most. */
export function createMacTexts(): MacTexts {
  const known = new Map<string, flow.Ethernet.$Properties | null>();
  return {
    at(view, offset) {
      const bytes = Buffer.from(view.buffer, view.byteOffset + offset, 2 * macBytes);
      const key = bytes.toString('latin1');
      const before = known.get(key);
      if (before !== undefined) return before;
      if (known.size >= pairsMax) known.clear();
      const isSet = bytes.some((byte) => byte !== 0);
      const [destination, source] = [textOf(bytes.subarray(0, macBytes)), textOf(bytes.subarray(macBytes))];
      const pair = isSet ? { source, destination } : null;
      known.set(key, pair);
      return pair;
    },
  };
}
