// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { onStderr } from '@weir/terminal';
import { CommanderError } from 'commander';
import { createProgram } from './program.ts';

/** Runs a command line, without the program's own name. The process exits with 0: done, 1: failed, 2: wrong usage. */
export async function runProgram(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed its own message, or the help that was asked for.
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    const { message, code } = WeirError.from(error);
    process.exitCode = 1;
    process.stderr.write(`${onStderr.red('weir:')} ${message}\n`);
    if (code === 'INTERNAL' && error instanceof Error) process.stderr.write(`${onStderr.dim(error.stack ?? '')}\n`);
  }
}
