// SPDX-License-Identifier: Apache-2.0
import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

/** A log that grows beyond this is emptied: a lab may run for days, and /run may be memory. */
export const logBytesMax = 64 * 1024 * 1024;

/** Empties the files of a directory that have become too large. Their writers append, so they go on at the start. */
export async function limitLogs(directory: string, bytesMax: number = logBytesMax): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const { size } = await stat(path);
    if (size > bytesMax) await truncate(path, 0);
  }
}
