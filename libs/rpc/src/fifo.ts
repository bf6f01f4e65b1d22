// SPDX-License-Identifier: Apache-2.0

/** First in, first out, at the same cost for any length. */
export interface Fifo<Item> {
  push(item: Item): void;
  /** The oldest item, taken out; undefined when empty. */
  take(): Item | undefined;
  clear(): void;
  readonly length: number;
}

/** Makes an empty queue. `shift` on a long array moves every element; here a head index moves, and the array is cut at times. */
export function createFifo<Item>(): Fifo<Item> {
  const compactAt = 64;
  let items: Item[] = [];
  let head = 0;
  return {
    push: (item) => void items.push(item),
    take() {
      const item = items[head];
      if (head < items.length) head += 1;
      if (head === items.length || (head >= compactAt && head * 2 >= items.length)) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
    clear() {
      items = [];
      head = 0;
    },
    get length() {
      return items.length - head;
    },
  };
}
