// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Top of the source tree, ending in a slash. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A file of the source tree by its path from the top, and what is in it. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Every file that is, or would be, committed, and is not generated or a fixture. */
export function sourceFiles(): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    maxBuffer: 64 << 20,
  });
  return listed
    .toString()
    .split('\0')
    .filter((path) => path !== '' && path !== 'package-lock.json' && !/\/gen\/|\/fixtures\//.test(path))
    .filter((path) => existsSync(root + path))
    .map((path) => ({ path, text: readFileSync(root + path, 'utf8') }));
}

/** The files whose paths match. */
export function filesMatching(pattern: RegExp): SourceFile[] {
  return sourceFiles().filter(({ path }) => pattern.test(path));
}
