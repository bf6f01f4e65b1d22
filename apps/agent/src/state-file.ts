// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Reads a file; undefined when there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file written aside, which takes its place when `commit` is called and vanishes with `discard`. */
export interface PreparedFile {
  commit(): Promise<void>;
  discard(): Promise<void>;
}

/** Writes `text` beside `path`, readable for root only. The file at `path` is the old one or the new one at any time. */
export async function prepareFile(path: string, text: string): Promise<PreparedFile> {
  const aside = `${path}.new`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(aside, text, { mode: 0o600 });
  return { commit: () => rename(aside, path), discard: () => rm(aside, { force: true }) };
}
