// SPDX-License-Identifier: Apache-2.0
// `weir lab`: the command line of the lab, and with `supervise` the process behind it.
import { reportError } from './cli/report-error.ts';
import { runCli } from './cli/run-cli.ts';

// A reader that has seen enough, as in `weir lab pod list | head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await runCli(process.argv.slice(2));
} catch (error) {
  reportError(error);
}
