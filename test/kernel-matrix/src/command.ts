// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { WeirError } from '@weir/errors';

const execute = promisify(execFile);
const outputBytesMax = 16 * 2 ** 20;
const timeoutMs = 5 * 60_000;

/** Runs a command and gives what it prints; the error of one that fails has the end of what it said. */
export async function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string } = {},
): Promise<string> {
  try {
    const { stdout } = await execute(program, args, { ...options, maxBuffer: outputBytesMax, timeout: timeoutMs });
    return stdout;
  } catch (cause) {
    const { stderr = '', message } = cause as { stderr?: string; message: string };
    const said = stderr.trim().split('\n').slice(-3).join('; ') || message;
    throw new WeirError('FAILED_PRECONDITION', `Cannot run ${program} ${args.slice(0, 3).join(' ')}: ${said}`, {
      cause,
    });
  }
}
