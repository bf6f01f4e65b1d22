// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WeirError } from '@weir/errors';
import { prepareFile } from '../state-file.ts';
import { type EndpointRecord, formatEndpointRecord, parseEndpointRecord } from './endpoint-record.ts';

/** What is wrong with a file. */
export interface EndpointFileProblem {
  /** The endpoint that the file is of by its name, if that says so. */
  readonly id: number | undefined;
  readonly error: WeirError;
}

/** The endpoints of a node on disk, one file each. */
export interface EndpointStore {
  /**
   * All records that can be read, and what is wrong with the others; their files are left as they are. What an agent has
   * left that was killed while it wrote is removed: one that takes its number later may be long in coming.
   */
  load(): Promise<{ readonly records: readonly EndpointRecord[]; readonly problems: readonly EndpointFileProblem[] }>;
  /** Writes a record as a whole or not at all, also when the process dies. */
  save(record: EndpointRecord): Promise<void>;
  /** Forgets a record; one that is not there is not an error. */
  remove(id: number): Promise<void>;
}

/** Keeps the records in `directory`, which it makes. */
export function createEndpointStore(directory: string): EndpointStore {
  const fileOf = (id: number): string => join(directory, `${id}.json`);

  const read = async (name: string): Promise<EndpointRecord> => {
    const file = join(directory, name);
    const record = parseEndpointRecord(await readFile(file, 'utf8'), file);
    if (name !== `${record.id}.json`) {
      throw new WeirError('CORRUPT_STATE', `The endpoint file "${file}" is that of endpoint ${record.id}`);
    }
    return record;
  };

  return {
    async load() {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const entries = await readdir(directory);
      const unfinished = entries.filter((name) => /^\d+\.json\.new$/.test(name));
      await Promise.all(unfinished.map((name) => rm(join(directory, name), { force: true })));
      const names = entries.filter((name) => name.endsWith('.json'));
      const results = await Promise.allSettled(names.map(read));
      return {
        records: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])),
        problems: results.flatMap((result, index) => {
          if (result.status === 'fulfilled') return [];
          const [, id] = /^(\d+)\.json$/.exec(names[index] ?? '') ?? [];
          return [{ id: id === undefined ? id : Number(id), error: WeirError.from(result.reason, 'CORRUPT_STATE') }];
        }),
      };
    },
    async save(record) {
      // No pod outlives a loss of power.
      const file = await prepareFile(fileOf(record.id), formatEndpointRecord(record), { durable: false });
      await file.commit();
    },
    remove: (id) => rm(fileOf(id), { force: true }),
  };
}
