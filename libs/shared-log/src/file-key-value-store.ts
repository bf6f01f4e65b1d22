// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';
import type { KeyValueStore, VersionedValue } from './key-value-store.ts';

const valueBytesMax = 128 * 1024;
// Another process that writes is done by then.
const busyMs = 1_000;
// A file tells nobody that it has changed.
const pollMs = 50;

// "WEIL" in the file's header, and the version of the table below.
const applicationId = 0x5745494c;
const schemaVersion = 1;
const schema = `
  CREATE TABLE IF NOT EXISTS entries (
    key     TEXT    PRIMARY KEY,
    value   TEXT    NOT NULL,
    version INTEGER NOT NULL
  ) WITHOUT ROWID;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * Opens a store in a file of this machine, or makes it with its directory; several processes may have it open. CORRUPT_STATE
 * when it is damaged or something else, FAILED_PRECONDITION when it cannot be opened.
 */
export function openFileKeyValueStore(path: string): KeyValueStore {
  const database = open(path);
  const byKey = database.prepare('SELECT value, version FROM entries WHERE key = ?');
  const write = database.prepare(
    `INSERT INTO entries (key, value, version) VALUES (:key, :value, :version)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version`,
  );
  const newest = database.prepare('SELECT coalesce(max(version), 0) AS version FROM entries');
  const withPrefix = database.prepare('SELECT key FROM entries WHERE substr(key, 1, ?) = ? ORDER BY key');
  const remove = database.prepare('DELETE FROM entries WHERE key = ?');

  const get = (key: string): VersionedValue | undefined => {
    const row = byKey.get(key);
    return row && { value: String(row.value), version: String(row.version) };
  };
  const put = (entries: readonly { readonly key: string; readonly value: string }[]): string => {
    const version = Number(newest.get()?.version) + 1;
    for (const { key, value } of entries) write.run({ key, value, version });
    return String(version);
  };
  const transact = <Result>(run: () => Result): Result => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = run();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };
  const call = async <Result>(run: () => Result): Promise<Result> => {
    try {
      return run();
    } catch (error) {
      throw failureOf(path, error);
    }
  };

  return {
    valueBytesMax,
    get: (key) => call(() => get(key)),
    getMany: (keys) => call(() => keys.map((key) => get(key)?.value)),
    put: (entry) => call(() => void transact(() => put([entry]))),
    swap: ({ key, version, value, others }) =>
      call(() => transact(() => (get(key)?.version === version ? put([{ key, value }, ...others]) : undefined))),
    keys: (prefix) => call(() => withPrefix.all(prefix.length, prefix).map(({ key }) => String(key))),
    delete: (keys) => call(() => transact(() => keys.forEach((key) => remove.run(key)))),
    async changed({ key, version }, { waitMs, signal }) {
      const untilMs = performance.now() + waitMs;
      while (!signal.aborted && performance.now() < untilMs) {
        const now = await call(() => get(key)?.version);
        if (now !== version) return;
        await sleep(Math.min(pollMs, Math.max(1, untilMs - performance.now())));
      }
    },
    close: () => database.close(),
  };
}

function open(path: string): DatabaseSync {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const database = new DatabaseSync(path, { timeout: busyMs });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    const found = database.prepare('PRAGMA application_id').get()?.application_id;
    const objects = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.count;
    if (found !== applicationId && objects !== 0) {
      database.close();
      throw new WeirError('CORRUPT_STATE', `"${path}" is a database of another application`);
    }
    database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
    return database;
  } catch (error) {
    throw failureOf(path, error, 'FAILED_PRECONDITION');
  }
}

const notADatabase = 26;
const corrupt = 11;

function failureOf(path: string, error: unknown, otherwise: 'UNAVAILABLE' | 'FAILED_PRECONDITION' = 'UNAVAILABLE') {
  if (error instanceof WeirError) return error;
  const { errcode, message } = error as { errcode?: number; message: string };
  const isDamaged = errcode === notADatabase || errcode === corrupt;
  const code = isDamaged ? 'CORRUPT_STATE' : otherwise;
  return new WeirError(code, `Cannot use "${path}": ${message}`, { cause: error });
}
