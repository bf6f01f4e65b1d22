// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WeirError } from '@weir/errors';
import { type Service, serviceKey, serviceProblem } from '@weir/model';
import { prepareFile, readIfPresent } from '../state-file.ts';

/** One change of the services on disk. */
export type ServiceRecord = { readonly upsert: Service } | { readonly delete: string };

/**
 * The services on disk: a journal, one change a line, so that a change costs as much as it is long and not as much as there are
 * services.
 */
export interface ServiceStore {
  /** Rejects with CORRUPT_STATE, with the file left as it is. A last line that was never finished counts for nothing. */
  load(): Promise<readonly Service[]>;
  /** Resolves when the records are on the disk. All or none of them are found again. */
  append(records: readonly ServiceRecord[]): Promise<void>;
  close(): Promise<void>;
}

const header = '{"version":1}';
/** Records above those that are needed, at which the journal is written anew. */
const surplusMax = 10_000;

const isService = (value: unknown): value is Service =>
  typeof value === 'object' &&
  value !== null &&
  Array.isArray((value as Service).frontends) &&
  Array.isArray((value as Service).backends) &&
  serviceProblem(value as Service) === undefined;

/** Keeps them in one file. Calls are made one after the other. */
export function createServiceStore(path: string): ServiceStore {
  const services = new Map<string, Service>();
  let recordCount = 0;
  let journal: FileHandle | undefined;

  const corrupt = (what: string, cause?: unknown): WeirError =>
    new WeirError('CORRUPT_STATE', `The service file "${path}" ${what}; what is in the kernel stays in force`, {
      cause,
      details: { path },
    });

  const apply = (record: ServiceRecord): void => {
    recordCount += 1;
    if ('upsert' in record) services.set(serviceKey(record.upsert), record.upsert);
    else services.delete(record.delete);
  };

  const parseLine = (line: string, number: number): readonly ServiceRecord[] => {
    let records: unknown;
    try {
      records = JSON.parse(line);
    } catch (cause) {
      throw corrupt(`has something else than JSON in line ${number}`, cause);
    }
    const isRecord = (value: unknown): value is ServiceRecord =>
      typeof (value as { delete?: unknown }).delete === 'string' || isService((value as { upsert?: unknown }).upsert);
    if (!Array.isArray(records) || !records.every(isRecord)) {
      throw corrupt(`has something else than services in line ${number}`);
    }
    return records;
  };

  /** What is wanted and nothing else, in place of all that there was. */
  const compact = async (): Promise<void> => {
    const records = [...services.values()].map((upsert): ServiceRecord[] => [{ upsert }]);
    const text = [header, ...records.map((each) => JSON.stringify(each)), ''].join('\n');
    const file = await prepareFile(path, text, { durable: true });
    await journal?.close();
    journal = undefined;
    await file.commit();
    recordCount = services.size;
  };

  return {
    async load() {
      const text = await readIfPresent(path);
      if (text === undefined) return [];
      const lines = text.split('\n');
      // Empty when the file ends as it should; else what a crash left of the last record.
      lines.pop();
      if (lines[0] !== header) throw corrupt(`begins with "${lines[0] ?? ''}"; expected ${header}`);
      lines.slice(1).forEach((line, index) => parseLine(line, index + 2).forEach(apply));
      await compact();
      return [...services.values()];
    },
    async append(records) {
      if (records.length === 0) return;
      if (journal === undefined) {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        journal = await open(path, 'a', 0o600);
        if ((await journal.stat()).size === 0) await journal.write(`${header}\n`);
      }
      await journal.write(`${JSON.stringify(records)}\n`);
      await journal.datasync();
      records.forEach(apply);
      if (recordCount > services.size + surplusMax) await compact();
    },
    async close() {
      await journal?.close();
      journal = undefined;
    },
  };
}
