// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { WeirError } from '@weir/errors';
import { createLargeValues, type LargeValues } from './large-values.ts';
import type { ChangeWait, KeyValue, KeyValueStore } from './key-value-store.ts';

/** Where a log stands. Another epoch is another log: the store was lost and begun anew. */
export interface LogPosition {
  readonly epoch: string;
  readonly sequence: number;
}

/** Entries that follow each other, the first one right after `after`. */
export interface LogPortion {
  readonly after: number;
  readonly entries: readonly string[];
}

/** Everything a log says, from its beginning. */
export interface LogContent {
  readonly position: LogPosition;
  /** The sum of all entries up to `snapshotSequence`; undefined where that is 0. */
  readonly snapshot: string | undefined;
  readonly snapshotSequence: number;
  /** What comes after the snapshot. */
  readonly entries: readonly string[];
}

/**
 * A list of entries that several writers add to, and all read in the same order. The only write that decides anything is
 * the one of its head: whoever swaps it is next, and everybody else has to read that first.
 */
export interface SharedLog {
  /** Reads all of it, and makes it where there is none. */
  load(): Promise<LogContent>;
  /**
   * Adds an entry after `at`; false when something else comes there. Where it fails with UNAVAILABLE the entry may have been
   * added, or be added as long as nothing else is.
   */
  append(at: LogPosition, entry: string): Promise<boolean>;
  /**
   * The entries after `at` that are there now. Fails with FAILED_PRECONDITION when the next one is gone, or the whole log:
   * `load` again.
   */
  read(at: LogPosition): Promise<LogPortion>;
  /** Resolves when there may be something after what was read last, or after the time. */
  changed(wait: ChangeWait): Promise<void>;
  /** Replaces entries up to `sequence` by their sum. Some stay for those that are a little behind. */
  compact(sequence: number, snapshot: string): Promise<void>;
  close(): void;
}

export interface SharedLogOptions {
  readonly store: KeyValueStore;
  /** What all keys begin with, for example `weir/identity`. */
  readonly prefix: string;
  /** Entries that stay behind a snapshot; 1,000 by default. */
  readonly keptEntries?: number;
}

interface Head extends LogPosition {
  readonly version: string;
}

interface SnapshotPointer {
  readonly sequence: number;
  /** Reference to the text. */
  readonly text: string;
}

// Entries read at a time.
const portionMax = 64;
const loadAttemptsMax = 5;

/** Makes the log's reader and writer; nothing is read yet. */
export function createSharedLog({ store, prefix, keptEntries = 1_000 }: SharedLogOptions): SharedLog {
  const snapshotKey = `${prefix}/snapshot`;
  const large = createLargeValues({ store, prefix: `${prefix}/parts` });
  const head = createHead(store, `${prefix}/head`);
  const { readEntries, entryKey } = createEntries(store, prefix, large);

  const tryLoad = async (): Promise<LogContent | undefined> => {
    // The pointer before the head, so that the entries in between are those that belong together.
    const found = await store.get(snapshotKey);
    const pointer = found && parse<SnapshotPointer>(snapshotKey, found.value);
    const position = (await head.read()) ?? (await head.make());
    const snapshotSequence = pointer?.sequence ?? 0;
    const snapshot = pointer && (await large.read(pointer.text));
    if (pointer !== undefined && (snapshot === undefined || snapshotSequence > position.sequence)) return undefined;
    const entries = await readEntries(snapshotSequence, position.sequence);
    return entries && { position, snapshot, snapshotSequence, entries };
  };

  return {
    async load() {
      for (let attempt = 0; attempt < loadAttemptsMax; attempt += 1) {
        const content = await tryLoad();
        if (content !== undefined) return content;
      }
      throw new WeirError(
        'CORRUPT_STATE',
        `The log below "${prefix}" has holes, expected every entry after its snapshot`,
      );
    },
    async append(at, entry) {
      const { known } = head;
      if (known?.epoch !== at.epoch || known.sequence !== at.sequence) return false;
      const sequence = at.sequence + 1;
      const value = await large.write(pad(sequence), entry);
      return head.swap(known, { epoch: at.epoch, sequence }, [{ key: entryKey(sequence), value }]);
    },
    async read(at) {
      const found = await head.read();
      if (found?.epoch !== at.epoch || found.sequence < at.sequence) throw begunAnew(prefix);
      const entries = await readEntries(at.sequence, found.sequence);
      if (entries === undefined) throw gone(prefix, at.sequence + 1);
      return { after: at.sequence, entries };
    },
    changed: (wait) => head.changed(wait),
    async compact(sequence, snapshot) {
      const found = await store.get(snapshotKey);
      const former = found && parse<SnapshotPointer>(snapshotKey, found.value);
      if (former !== undefined && former.sequence >= sequence) return;
      const pointer: SnapshotPointer = { sequence, text: await large.write(pad(sequence), snapshot) };
      const swap = { key: snapshotKey, version: found?.version, value: JSON.stringify(pointer), others: [] };
      if ((await store.swap(swap)) === undefined) return;
      const cut = Math.max(0, sequence - keptEntries);
      await store.delete((await store.keys(`${prefix}/log/`)).filter((key) => key <= entryKey(cut)));
      await large.prune({ upTo: pad(cut), except: pointer.text });
    },
    close: () => store.close(),
  };
}

/** The one key that decides. */
function createHead(store: KeyValueStore, key: string) {
  // The newest one that we know, for its version.
  let known: Head | undefined;
  const remember = (head: Head): Head => {
    if (known?.epoch !== head.epoch || known.sequence <= head.sequence) known = head;
    return head;
  };
  const read = async (): Promise<Head | undefined> => {
    const found = await store.get(key);
    if (found === undefined) return undefined;
    const { epoch, sequence } = parse<LogPosition>(key, found.value);
    return remember({ epoch, sequence, version: found.version });
  };
  const make = async (): Promise<Head> => {
    const position: LogPosition = { epoch: randomUUID(), sequence: 0 };
    const version = await store.swap({ key, version: undefined, value: JSON.stringify(position), others: [] });
    if (version !== undefined) return remember({ ...position, version });
    return (await read()) ?? make();
  };
  return {
    get known() {
      return known;
    },
    read,
    make,
    async swap({ version: former }: Head, to: LogPosition, others: readonly KeyValue[]): Promise<boolean> {
      const version = await store.swap({ key, version: former, value: JSON.stringify(to), others });
      if (version !== undefined) remember({ ...to, version });
      return version !== undefined;
    },
    async changed(wait: ChangeWait): Promise<void> {
      if (known !== undefined) await store.changed({ key, version: known.version }, wait);
    },
  };
}

function createEntries(store: KeyValueStore, prefix: string, large: LargeValues) {
  const entryKey = (sequence: number): string => `${prefix}/log/${pad(sequence)}`;
  return {
    entryKey,
    /** Entries after `from` up to `to`; undefined when one of them is gone. */
    async readEntries(from: number, to: number): Promise<string[] | undefined> {
      const entries: string[] = [];
      for (let next = from + 1; next <= to; next += portionMax) {
        const count = Math.min(portionMax, to - next + 1);
        const keys = Array.from({ length: count }, (_, index) => entryKey(next + index));
        for (const value of await store.getMany(keys)) {
          const text = value === undefined ? undefined : await large.read(value);
          if (text === undefined) return undefined;
          entries.push(text);
        }
      }
      return entries;
    },
  };
}

// Sorted as text, sequences are sorted as numbers.
const pad = (sequence: number): string => sequence.toString().padStart(16, '0');

const begunAnew = (prefix: string): WeirError =>
  new WeirError('FAILED_PRECONDITION', `The log below "${prefix}" was begun anew`);
const gone = (prefix: string, sequence: number): WeirError =>
  new WeirError('FAILED_PRECONDITION', `Entry ${sequence} of the log below "${prefix}" is gone`);

function parse<Content>(key: string, text: string): Content {
  try {
    const parsed = JSON.parse(text) as Content & { readonly sequence: unknown };
    if (Number.isSafeInteger(parsed.sequence)) return parsed;
  } catch {
    // Said below.
  }
  throw new WeirError('CORRUPT_STATE', `Key "${key}" holds "${text.slice(0, 64)}", expected what Weir wrote there`);
}
