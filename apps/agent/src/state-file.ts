// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
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

/**
 * Writes `text` beside `path`, readable for root only. The file at `path` is the old one or the new one at any time; with
 * `durable` also after a loss of power, which costs a wait for the disk.
 */
export async function prepareFile(
  path: string,
  text: string,
  { durable }: { readonly durable: boolean },
): Promise<PreparedFile> {
  const aside = `${path}.new`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(aside, 'w', 0o600);
  try {
    await file.writeFile(text);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
  return { commit: () => rename(aside, path), discard: () => rm(aside, { force: true }) };
}
