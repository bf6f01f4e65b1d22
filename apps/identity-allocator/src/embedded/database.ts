// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { WeirError } from '@weir/errors';
import { parseLabelSet } from '@weir/model';
import type { IdentityJournal, Reference, StoredState } from '../store/identity-state.ts';
import type { StoredIdentity } from '../store/identity-store.ts';

type Row = Readonly<Record<string, unknown>>;

/** The file that holds the embedded store. */
export interface IdentityDatabase {
  readonly epoch: string;
  /** For use within `commit`. */
  readonly journal: IdentityJournal;
  load(): StoredState;
  /** Runs `change` and makes what it told the journal durable; where it throws, nothing of that has happened. */
  commit(change: () => void): void;
  close(): void;
}

// "WEIR" in the file's header (file(1) shows it), and the version of the tables below.
const applicationId = 0x57454952;
const schemaVersion = 1;

const schema = `
  CREATE TABLE history (epoch TEXT NOT NULL);
  CREATE TABLE identities (
    id       INTEGER PRIMARY KEY,
    labels   TEXT    NOT NULL UNIQUE,
    revision INTEGER NOT NULL UNIQUE,
    retired  INTEGER NOT NULL CHECK (retired IN (0, 1))
  );
  CREATE TABLE held_references (
    node TEXT    NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (node, id)
  ) WITHOUT ROWID;
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * Opens the file, or makes it with its directory. CORRUPT_STATE when it is damaged, was written by a newer version or is
 * something else: it is left as it is. FAILED_PRECONDITION when another process has it open or it cannot be written.
 */
export function openIdentityDatabase(path: string): IdentityDatabase {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const isNew = inspect(path) === 'empty';
    return open(path, isNew);
  } catch (error) {
    throw openFailure(path, error);
  }
}

/** Looks without writing, so that a file which is not ours stays as it is. */
function inspect(path: string): 'empty' | 'ours' {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return 'empty';
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const found = { application: pragma(database, 'application_id'), version: pragma(database, 'user_version') };
    // A process that died while it made the file leaves an empty database.
    const objects = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.count;
    if (objects === 0 && found.application === 0) return 'empty';
    if (found.application !== applicationId) throw corrupt(path, 'is a database of another application');
    if (found.version !== schemaVersion) {
      throw corrupt(path, `has format ${String(found.version)}, expected ${schemaVersion}: another version wrote it`);
    }
    const check = pragma(database, 'quick_check');
    if (check !== 'ok') throw corrupt(path, `is damaged: ${String(check)}`);
    return 'ours';
  } finally {
    database.close();
  }
}

const pragma = (database: DatabaseSync, name: string): unknown =>
  Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];

function open(path: string, isNew: boolean): IdentityDatabase {
  const database = new DatabaseSync(path);
  try {
    // One process at a time, which also spares the shared-memory file; every commit reaches the disk before it returns.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    database.exec('BEGIN EXCLUSIVE');
    if (isNew) {
      database.exec(schema);
      database.prepare('INSERT INTO history (epoch) VALUES (?)').run(randomUUID());
    }
    database.exec('COMMIT');
    return fromDatabase(database, path);
  } catch (error) {
    database.close();
    throw error;
  }
}

function fromDatabase(database: DatabaseSync, path: string): IdentityDatabase {
  const epoch = database.prepare('SELECT epoch FROM history').get()?.epoch;
  if (typeof epoch !== 'string') throw corrupt(path, 'names no epoch');
  let inTransaction = false;
  // Most batches change nothing: a transaction begins with the first change.
  const begin = (): void => {
    if (inTransaction) return;
    database.exec('BEGIN IMMEDIATE');
    inTransaction = true;
  };
  const journal = createJournal(database, begin);
  return {
    epoch,
    journal,
    load: () => readState(database, path),
    commit(change) {
      try {
        change();
        if (inTransaction) database.exec('COMMIT');
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw writeFailure(path, error);
      } finally {
        inTransaction = false;
      }
    },
    close: () => database.close(),
  };
}

function createJournal(database: DatabaseSync, begin: () => void): IdentityJournal {
  const putIdentity = database.prepare(`
    INSERT INTO identities (id, labels, revision, retired) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET labels = excluded.labels, revision = excluded.revision, retired = excluded.retired`);
  const addReference = database.prepare('INSERT INTO held_references (node, id) VALUES (?, ?)');
  const removeReference = database.prepare('DELETE FROM held_references WHERE node = ? AND id = ?');
  const removeNode = database.prepare('DELETE FROM held_references WHERE node = ?');
  return {
    putIdentity({ id, labels, revision, retired }) {
      begin();
      putIdentity.run(id, labels.key, revision, retired ? 1 : 0);
    },
    addReference({ node, id }) {
      begin();
      addReference.run(node, id);
    },
    removeReference({ node, id }) {
      begin();
      removeReference.run(node, id);
    },
    removeNode(node) {
      begin();
      removeNode.run(node);
    },
  };
}

function readState(database: DatabaseSync, path: string): StoredState {
  const identities = database.prepare('SELECT id, labels, revision, retired FROM identities ORDER BY revision');
  const references = database.prepare('SELECT node, id FROM held_references');
  return {
    identities: mapRows(identities, (row) => identityFromRow(path, row)),
    references: mapRows(references, ({ node, id }): Reference => ({ node: String(node), id: Number(id) })),
  };
}

function* mapRows<Result>(statement: StatementSync, convert: (row: Row) => Result): Generator<Result> {
  for (const row of { [Symbol.iterator]: () => statement.iterate() }) yield convert(row);
}

function identityFromRow(path: string, row: Row): StoredIdentity {
  const key = String(row.labels);
  try {
    const labels = parseLabelSet(key.split(';').slice(0, -1));
    if (labels.key !== key) throw new WeirError('CORRUPT_STATE', `expected "${labels.key}"`);
    return { id: Number(row.id), labels, revision: Number(row.revision), retired: row.retired === 1 };
  } catch (error) {
    throw corrupt(path, `has identity ${String(row.id)} with labels "${key}": ${(error as Error).message}`);
  }
}

const corrupt = (path: string, problem: string): WeirError =>
  new WeirError('CORRUPT_STATE', `Identity store "${path}" ${problem}; it was left as it is`, { details: { path } });

// Primary result codes, https://www.sqlite.org/rescode.html
const sqlite = { busy: 5, corrupt: 11, notADatabase: 26 } as const;

const resultCode = (error: unknown): number | undefined => {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
};

function openFailure(path: string, error: unknown): WeirError {
  if (error instanceof WeirError) return error;
  const code = resultCode(error);
  const reason = (error as Error).message;
  if (code === sqlite.corrupt || code === sqlite.notADatabase) return corrupt(path, `is damaged: ${reason}`);
  const problem = code === sqlite.busy ? 'another process has it open' : reason;
  return new WeirError('FAILED_PRECONDITION', `Cannot open identity store "${path}": ${problem}`, {
    cause: error,
    details: { path },
  });
}

function writeFailure(path: string, error: unknown): WeirError {
  if (error instanceof WeirError) return error;
  return new WeirError('UNAVAILABLE', `Cannot write identity store "${path}": ${(error as Error).message}`, {
    cause: error,
    details: { path },
  });
}
