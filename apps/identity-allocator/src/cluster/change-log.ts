// SPDX-License-Identifier: Apache-2.0

/** Rows by key, each with the revision of its last change; a row that is gone leaves its key behind for a while. */
export interface ChangeLog<Row> {
  /** Of the newest change; 0 before the first one. */
  readonly revision: number;
  readonly size: number;
  get(key: string): Row | undefined;
  set(key: string, row: Row): void;
  delete(key: string): void;
  /**
   * What came after a revision, each row as it is now, `rowsMax` at most. Undefined when the log does not reach back
   * that far any more.
   */
  changesAfter(revision: number, rowsMax: number): LogChanges<Row> | undefined;
}

/** A part of what has changed. */
export interface LogChanges<Row> {
  readonly upserted: readonly (readonly [key: string, row: Row])[];
  readonly deleted: readonly string[];
  /** Continue from here. */
  readonly revision: number;
  readonly complete: boolean;
}

interface Entry<Row> {
  readonly key: string;
  readonly row: Row | undefined;
  readonly revision: number;
}

/** Makes an empty log, which remembers `deletedMax` keys of rows that are gone. */
export function createChangeLog<Row>({ deletedMax }: { readonly deletedMax: number }): ChangeLog<Row> {
  const newest = new Map<string, Entry<Row>>();
  let size = 0;
  // Every change in order; what `newest` does not hold any more is stale.
  let log: Entry<Row>[] = [];
  let revision = 0;
  let forgottenUpTo = 0;

  const forgetDeleted = (): void => {
    const gone = [...newest.values()].filter(({ row }) => row === undefined);
    for (const { key, revision: of } of gone.toSorted((a, b) => a.revision - b.revision).slice(0, gone.length >> 1)) {
      newest.delete(key);
      forgottenUpTo = of;
    }
  };
  const put = (key: string, row: Row | undefined): void => {
    const entry = { key, row, revision: ++revision };
    newest.set(key, entry);
    log.push(entry);
    if (newest.size - size > deletedMax) forgetDeleted();
    if (log.length > 2 * newest.size + 64) log = log.filter((each) => newest.get(each.key) === each);
  };

  return {
    get revision() {
      return revision;
    },
    get size() {
      return size;
    },
    get: (key) => newest.get(key)?.row,
    set(key, row) {
      if (newest.get(key)?.row === undefined) size += 1;
      put(key, row);
    },
    delete(key) {
      if (newest.get(key)?.row === undefined) return;
      size -= 1;
      put(key, undefined);
    },
    changesAfter(after, rowsMax) {
      // Whoever begins with nothing has nothing to delete.
      if (after !== 0 && after < forgottenUpTo) return undefined;
      const upserted: (readonly [string, Row])[] = [];
      const deleted: string[] = [];
      let index = firstAfter(log, after);
      for (; index < log.length && upserted.length + deleted.length < rowsMax; index += 1) {
        const entry = log[index] as Entry<Row>;
        if (newest.get(entry.key) !== entry) continue;
        if (entry.row === undefined) deleted.push(entry.key);
        else upserted.push([entry.key, entry.row]);
      }
      const complete = index >= log.length;
      const last = complete ? revision : (log[index - 1] as Entry<Row>).revision;
      return { upserted, deleted: after === 0 ? [] : deleted, revision: last, complete };
    },
  };
}

/** Index of the first entry with a revision above `after`, by bisection. */
function firstAfter(log: readonly { readonly revision: number }[], after: number): number {
  let low = 0;
  let high = log.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((log[middle]?.revision ?? Infinity) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
