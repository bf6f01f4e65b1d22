// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Name of a network namespace of this process' benchmarks; `removeLeftovers` finds it by its name. */
export const benchNamespace = (purpose: string): string => `weirbench${process.pid}${purpose}`;

const pattern = /^weirbench(\d+)[a-z]/;

/** Removes the namespaces of benchmarks that died before they could. */
export async function removeLeftovers(): Promise<void> {
  const { stdout } = await run('ip', ['netns', 'list']);
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  for (const name of names) {
    const pid = pattern.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await run('ip', ['netns', 'del', name]);
  }
}
