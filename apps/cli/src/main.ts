// SPDX-License-Identifier: Apache-2.0
// weir: the command line.
import { runProgram } from './run-program.ts';

// A reader that has seen enough, `weir … | head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

await runProgram(process.argv.slice(2));
