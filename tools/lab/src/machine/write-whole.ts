// SPDX-License-Identifier: Apache-2.0
import { rename, writeFile } from 'node:fs/promises';

let written = 0;

/** Replaces a file's content, so that a reader sees all of the old or all of the new. */
export async function writeWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.${written++}.tmp`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}
