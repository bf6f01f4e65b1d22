// SPDX-License-Identifier: Apache-2.0

/** Something that a table chooses: by its key, and as often as its weight says. */
export interface MaglevItem {
  readonly key: string;
  readonly weight: number;
}

/** Sizes that tables may have: primes, as users of Maglev know them. */
export const maglevTableSizes = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521] as const;

/** Beyond a few dozen backends, smaller tables move more than one per cent of the flows without need. */
export const maglevTableSizeDefault = 65521;

// In a test, what is global costs as much as the rest of it.
const { imul } = Math;

/** Spreads the bits of a number (murmur3's last step). It must never change: all nodes have the same table. */
function mix(bits: number): number {
  let mixed = imul(bits ^ (bits >>> 16), 0x85ebca6b);
  mixed = imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** A hash of a text: as lasting as `mix`. */
function hash(text: string): number {
  let bits = 0x9747b28c;
  for (let index = 0; index < text.length; index++) bits = mix(bits ^ text.charCodeAt(index)) + 0x9e3779b9;
  return mix(bits);
}

/** Says again and again who chooses next: an item of weight 3 three times as often as one of weight 1, whoever else there is. */
function turns(weights: readonly number[]): () => number {
  const count = weights.length;
  if (weights.every((weight) => weight === weights[0])) {
    let next = 0;
    return () => next++ % count;
  }
  // A heap of items by the time of their next turn; items that are due at the same time take turns in their order.
  const due = Float64Array.from(weights, (weight) => 1 / weight);
  const taken = new Uint32Array(count).fill(1);
  const isBefore = (a: number, b: number): boolean => {
    const [left, right] = [due[a] ?? 0, due[b] ?? 0];
    return left < right || (left === right && a < b);
  };
  const heap = Uint32Array.from(weights.keys()).sort((a, b) => (isBefore(a, b) ? -1 : 1));
  return () => {
    const item = heap[0] ?? 0;
    taken[item] = (taken[item] ?? 0) + 1;
    due[item] = (taken[item] ?? 0) / (weights[item] ?? 1);
    let at = 0;
    for (let least = 1; least < count; least = at * 2 + 1) {
      if (least + 1 < count && isBefore(heap[least + 1] ?? 0, heap[least] ?? 0)) least += 1;
      if (!isBefore(heap[least] ?? 0, item)) break;
      heap[at] = heap[least] ?? 0;
      at = least;
    }
    heap[at] = item;
    return item;
  };
}

const free = 0xffff;

/**
 * Maglev's table (Eisenbud et al. 2016) with weights: every entry is the index of an item. Each item has an order of entries
 * that depends on its key alone, and in its turn takes the next of them that is free. Who takes turns when depends on no
 * other item either, so that the table of one item less differs in little else than that item's entries. The same items give
 * the same table wherever and in whichever order they are given. Needs at least one item, and fewer than 65535.
 *
 * The orders are pseudo-random: steps of a fixed width, as in the paper, now and then fall into step with another item's, and
 * then a change moves more than one per cent.
 */
export function maglevTable(items: readonly MaglevItem[], size: number): Uint16Array<ArrayBuffer> {
  const keyOf = (index: number): string => items[index]?.key ?? '';
  const order = [...items.keys()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const table = new Uint16Array(size).fill(free);
  const places = Uint32Array.from(order, (index) => hash(keyOf(index)));
  const nextTurn = turns(order.map((index) => items[index]?.weight ?? 1));
  for (let left = size; left > 0; left--) {
    const item = nextTurn();
    let seed = places[item] ?? 0;
    let place;
    do {
      seed = (seed + 0x9e3779b9) | 0;
      place = mix(seed) % size;
    } while (table[place] !== free);
    table[place] = order[item] ?? 0;
    places[item] = seed;
  }
  return table;
}
