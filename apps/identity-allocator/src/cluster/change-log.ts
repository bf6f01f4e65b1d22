// SPDX-License-Identifier: Apache-2.0

/**
 * Rows by key, each with the revision of its last change; a row that is gone leaves its key behind for a while. Revisions are
 * everybody's, and many changes may have the same one; a position is this log's own, and tells them apart.
 */
export interface ChangeLog<Row> {
  /** Of the newest change, or further where nothing has changed since; 0 before the first one. */
  readonly revision: number;
  /** Behind the newest change. */
  readonly position: number;
  /** Where the last `restart` was. */
  readonly beginning: number;
  readonly size: number;
  get(key: string): Row | undefined;
  /** By default under the next revision. */
  set(key: string, row: Row, revision?: number): void;
  delete(key: string, revision?: number): void;
  /** All that there is up to the revision has been said. */
  reach(revision: number): void;
  /** What is there is all that there is at the revision, and nothing is known of how it came to be. */
  restart(revision: number): void;
  /** Behind all changes up to a revision; undefined when the log does not reach back, or forward, that far. */
  positionAfter(revision: number): number | undefined;
  /**
   * What came after a position, each row as it is now, `rowsMax` at most; 0 is before everything. Undefined when the log does
   * not reach back that far any more.
   */
  changesAfter(position: number, rowsMax: number): LogChanges<Row> | undefined;
}

/** A part of what has changed. */
export interface LogChanges<Row> {
  readonly upserted: readonly (readonly [key: string, row: Row])[];
  readonly deleted: readonly string[];
  /** Continue from here. */
  readonly position: number;
  /** Whoever has this part, and all before it, has all up to here, and perhaps more. */
  readonly revision: number;
  readonly complete: boolean;
}

interface Entry<Row> {
  readonly key: string;
  readonly row: Row | undefined;
  readonly revision: number;
  readonly position: number;
}

/** Makes an empty log, which remembers `deletedMax` keys of rows that are gone. */
export function createChangeLog<Row>({ deletedMax }: { readonly deletedMax: number }): ChangeLog<Row> {
  const newest = new Map<string, Entry<Row>>();
  // Every change in order; what `newest` does not hold any more is stale.
  let log: Entry<Row>[] = [];
  let [revision, position, beginning, size] = [0, 0, 0, 0];
  let forgotten = { revision: 0, position: 0 };

  const forgetDeleted = (): void => {
    const gone = [...newest.values()].filter(({ row }) => row === undefined);
    for (const entry of gone.toSorted((a, b) => a.position - b.position).slice(0, gone.length >> 1)) {
      newest.delete(entry.key);
      forgotten = entry;
    }
  };
  const put = (entry: Entry<Row>): void => {
    ({ position, revision } = entry);
    newest.set(entry.key, entry);
    log.push(entry);
    if (newest.size - size > deletedMax) forgetDeleted();
    if (log.length > 2 * newest.size + 64) log = log.filter((each) => newest.get(each.key) === each);
  };

  return {
    get revision() {
      return revision;
    },
    get position() {
      return position;
    },
    get beginning() {
      return beginning;
    },
    get size() {
      return size;
    },
    get: (key) => newest.get(key)?.row,
    set(key, row, of = revision + 1) {
      if (newest.get(key)?.row === undefined) size += 1;
      put({ key, row, revision: of, position: position + 1 });
    },
    delete(key, of = revision + 1) {
      if (newest.get(key)?.row === undefined) return;
      size -= 1;
      put({ key, row: undefined, revision: of, position: position + 1 });
    },
    reach: (to) => void (revision = to),
    restart(at) {
      const rows = [...newest.values()].filter(({ row }) => row !== undefined);
      newest.clear();
      log = [];
      // One more, so that nobody who has all of before stands where the new beginning is.
      position += 1;
      beginning = position;
      forgotten = { revision: at, position };
      revision = at;
      for (const entry of rows) put({ ...entry, revision, position: position + 1 });
    },
    positionAfter(after) {
      if (after < forgotten.revision || after > revision) return undefined;
      const next = log[firstAfter(log, (entry) => entry.revision > after)];
      return next === undefined ? position : next.position - 1;
    },
    changesAfter(after, rowsMax) {
      // Whoever begins with nothing has nothing to delete.
      if (after !== 0 && after < forgotten.position) return undefined;
      const from = firstAfter(log, (entry) => entry.position > after);
      const { end, upserted, deleted } = takeRows({ log, from, rowsMax, isStale: (e) => newest.get(e.key) !== e });
      const rows = { upserted, deleted: after === 0 ? [] : deleted };
      const [last, next] = [log[end - 1], log[end]];
      if (last === undefined || next === undefined) return { ...rows, position, revision, complete: true };
      // Of the revision that the next change has, too, not everything has been said.
      const said = next.revision > last.revision ? last.revision : last.revision - 1;
      return { ...rows, position: last.position, revision: said, complete: false };
    },
  };
}

interface RowsWanted<Row> {
  readonly log: readonly Entry<Row>[];
  readonly from: number;
  readonly rowsMax: number;
  readonly isStale: (entry: Entry<Row>) => boolean;
}

/** Rows that are not stale, up to `end`. */
function takeRows<Row>({ log, from, rowsMax, isStale }: RowsWanted<Row>) {
  const upserted: (readonly [string, Row])[] = [];
  const deleted: string[] = [];
  let end = from;
  for (; end < log.length && upserted.length + deleted.length < rowsMax; end += 1) {
    const entry = log[end] as Entry<Row>;
    if (isStale(entry)) continue;
    if (entry.row === undefined) deleted.push(entry.key);
    else upserted.push([entry.key, entry.row]);
  }
  return { end, upserted, deleted };
}

/** Index of the first entry that is behind, by bisection. */
function firstAfter<Item>(log: readonly Item[], isBehind: (item: Item) => boolean): number {
  let low = 0;
  let high = log.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBehind(log[middle] as Item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
