// SPDX-License-Identifier: Apache-2.0

/** Something that has its place in time. */
export interface Timed {
  readonly timeMs: number;
}

/** Streams of several sources in one, in order of time. */
export interface Merge<Item extends Timed> extends AsyncIterable<Item> {
  /** Takes in a source until it ends; resolves then. A source that fails rejects here and ends like any other. */
  add(source: AsyncIterable<Item>): Promise<void>;
  /** Lets an item through at once, ahead of what waits. */
  announce(item: Item): void;
  /** No more sources, and no more announcements: the merge ends when everything has gone. */
  close(): void;
}

interface Waiting<Item> {
  readonly item: Item;
  /** Its place in the order: its time, or when it came if its clock is ahead of ours. */
  readonly placeMs: number;
  readonly cameMs: number;
}

interface Source<Item> {
  readonly items: Waiting<Item>[];
  isOver: boolean;
  /** Reads on. */
  wanted: (() => void) | undefined;
}

export interface MergeOptions {
  /** How long an item waits for older ones of sources that are silent. */
  readonly waitMs: number;
  /** Items of one source that wait; a source that has so many is not read any further until one of them has gone. */
  readonly itemsMax: number;
  readonly signal: AbortSignal;
}

/** The source whose next item is the oldest, and whether it must wait for sources that have none. */
function look<Item>(sources: ReadonlySet<Source<Item>>, itemsMax: number) {
  let oldest: { source: Source<Item>; placeMs: number; cameMs: number } | undefined;
  let [isWaiting, isFull] = [false, false];
  for (const source of sources) {
    const [first] = source.items;
    if (first === undefined) isWaiting = true;
    else if (oldest === undefined || first.placeMs < oldest.placeMs) oldest = { source, ...first };
    isFull ||= source.items.length >= itemsMax;
  }
  return { oldest, mustWait: isWaiting && !isFull };
}

/** Sleeps until something happens or some time is over. */
function createSleeper() {
  let wake: (() => void) | undefined;
  return {
    wake: (): void => wake?.(),
    sleep: (ms: number | undefined): Promise<void> =>
      new Promise((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
        wake = () => {
          wake = undefined;
          clearTimeout(timer);
          resolve();
        };
      }),
  };
}

/**
 * Gives the oldest item as soon as every source has one, and otherwise when it has waited for long enough or its source can
 * hold no more: a node that hangs or has nothing to say delays the others by that much and slows them down by nothing. A
 * clock that is behind only puts its node's items first; one that is ahead does not keep them back. Memory is bounded: a
 * source whose items are not taken is not read.
 */
export function createMerge<Item extends Timed>({ waitMs, itemsMax, signal }: MergeOptions): Merge<Item> {
  const sources = new Set<Source<Item>>();
  const announced: Item[] = [];
  const sleeper = createSleeper();
  let isClosed = false;

  const readOn = (source: Source<Item>): void => {
    const { wanted } = source;
    source.wanted = undefined;
    wanted?.();
  };
  const onAbort = (): void => {
    sleeper.wake();
    sources.forEach(readOn);
  };
  signal.addEventListener('abort', onAbort, { once: true });

  const take = (source: Source<Item>): Item => {
    const { item } = source.items.shift() as Waiting<Item>;
    if (source.isOver && source.items.length === 0) sources.delete(source);
    readOn(source);
    return item;
  };

  /** The next item that may go, or how long to wait for it; undefined: until something happens. */
  const next = (): { readonly item: Item } | { readonly waitMs: number | undefined } => {
    const first = announced.shift();
    if (first !== undefined) return { item: first };
    const { oldest, mustWait } = look(sources, itemsMax);
    if (oldest === undefined) return { waitMs: undefined };
    const patienceMs = mustWait ? oldest.cameMs + waitMs - performance.now() : 0;
    return patienceMs > 0 ? { waitMs: patienceMs } : { item: take(oldest.source) };
  };

  const isOver = (): boolean => signal.aborted || (isClosed && sources.size === 0 && announced.length === 0);

  return {
    async add(iterable) {
      const source: Source<Item> = { items: [], isOver: false, wanted: undefined };
      sources.add(source);
      try {
        for await (const item of iterable) {
          source.items.push({ item, placeMs: Math.min(item.timeMs, Date.now()), cameMs: performance.now() });
          sleeper.wake();
          while (source.items.length >= itemsMax && !signal.aborted) {
            await new Promise<void>((resolve) => (source.wanted = resolve));
          }
        }
      } finally {
        // What it has given is still to go; only nobody waits for it any more.
        source.isOver = true;
        if (source.items.length === 0) sources.delete(source);
        sleeper.wake();
      }
    },
    announce(item) {
      announced.push(item);
      sleeper.wake();
    },
    close() {
      isClosed = true;
      sleeper.wake();
    },
    async *[Symbol.asyncIterator]() {
      try {
        while (!isOver()) {
          const found = next();
          if ('item' in found) yield found.item;
          else await sleeper.sleep(found.waitMs);
        }
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
  };
}
