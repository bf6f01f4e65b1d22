// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { getSystemErrorMessage } from 'node:util';
import { WeirError } from '@weir/errors';
import type { PolicySource } from './policy.ts';

/** Reads policy documents; `-` is standard input. NOT_FOUND names a file that cannot be read. */
export async function readPolicyFiles(names: readonly string[]): Promise<readonly PolicySource[]> {
  return Promise.all(
    names.map(async (name) => {
      try {
        return { name, content: await (name === '-' ? buffer(process.stdin) : readFile(name)) };
      } catch (error) {
        const { errno, message } = error as NodeJS.ErrnoException;
        const reason = errno === undefined ? message : getSystemErrorMessage(errno);
        throw new WeirError('NOT_FOUND', `Cannot read policy file "${name}": ${reason}`, { cause: error });
      }
    }),
  );
}
