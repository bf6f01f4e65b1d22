// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { getSystemErrorMessage } from 'node:util';
import { WeirError } from '@weir/errors';

/** A file as a user named it. */
export interface TextFile {
  readonly name: string;
  readonly content: string;
}

function reasonOf(error: unknown): string {
  const { errno } = error as NodeJS.ErrnoException;
  return errno === undefined ? WeirError.from(error).message : getSystemErrorMessage(errno);
}

/** Reads files; `-` is standard input. Throws NOT_FOUND. */
export async function readFiles(names: readonly string[]): Promise<TextFile[]> {
  return Promise.all(
    names.map(async (name) => {
      try {
        return name === '-'
          ? { name: '<stdin>', content: await readAll(process.stdin) }
          : { name, content: await readFile(name, 'utf8') };
      } catch (cause) {
        throw new WeirError('NOT_FOUND', `Cannot read "${name}": ${reasonOf(cause)}`, { cause });
      }
    }),
  );
}
