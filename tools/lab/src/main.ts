// SPDX-License-Identifier: Apache-2.0
// `weir lab`: the command line of the lab, and with `supervise` the process behind it.
import { reportError } from './cli/report-error.ts';
import { runCli } from './cli/run-cli.ts';

try {
  await runCli(process.argv.slice(2));
} catch (error) {
  reportError(error);
}
