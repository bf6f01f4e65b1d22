// SPDX-License-Identifier: Apache-2.0
// weir: the command line.
import { WeirError } from '@weir/errors';
import { onStderr } from '@weir/terminal';
import { CommanderError } from 'commander';
import { createProgram } from './program.ts';

// A reader that has seen enough, `weir … | head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await createProgram().parseAsync(process.argv.slice(2), { from: 'user' });
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its own message, or the help that was asked for.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    const { message, code } = WeirError.from(error);
    process.exitCode = 1;
    process.stderr.write(`${onStderr.red('weir:')} ${message}\n`);
    if (code === 'INTERNAL' && error instanceof Error) process.stderr.write(`${onStderr.dim(error.stack ?? '')}\n`);
  }
}
