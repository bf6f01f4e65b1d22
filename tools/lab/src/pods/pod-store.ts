// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../machine/write-whole.ts';
import { podFileName } from './pod-name.ts';
import type { PodRecord, PodReference } from './pod-record.ts';

/** The pods of a lab on disk, a file for each. The supervisor writes, everybody may read. */
export interface PodStore {
  save(pod: PodRecord): Promise<void>;
  remove(pod: PodReference): Promise<void>;
  /** In order of namespace and name. */
  list(): Promise<readonly PodRecord[]>;
}

const suffix = '.json';

/** Keeps pods in a directory. */
export function createPodStore(directory: string): PodStore {
  const file = (pod: PodReference): string => join(directory, `${podFileName(pod)}${suffix}`);
  return {
    async save(pod) {
      await mkdir(directory, { recursive: true });
      await writeWhole(file(pod), `${JSON.stringify(pod, null, 2)}\n`);
    },
    remove: (pod) => rm(file(pod), { force: true }),
    async list() {
      if (!existsSync(directory)) return [];
      const names = (await readdir(directory)).filter((name) => name.endsWith(suffix)).toSorted();
      const texts = await Promise.all(names.map((name) => readOrNothing(join(directory, name))));
      return texts.filter((text) => text !== undefined).map((text) => JSON.parse(text) as PodRecord);
    },
  };
}

// A pod may be removed between the listing and the reading.
async function readOrNothing(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
