// SPDX-License-Identifier: Apache-2.0
// certificates --directory DIR NAME…: a certificate for each name, by the authority in the directory.
import { WeirError } from '@weir/errors';
import { readCommandLine } from '@weir/service';
import { Command } from 'commander';
import { createAuthority } from './authority.ts';

const command = new Command('certificates')
  .description("Makes a certificate authority in a directory, and certificates for Weir's services.")
  .argument('<name...>', 'identity-allocator.weir, operator.weir, <node>.node.weir …')
  .requiredOption('--directory <directory>', 'where ca.crt, ca.key, NAME.crt and NAME.key are written')
  .option('--days <number>', 'how long the certificates are valid', '365');

const commandLine = readCommandLine<{ directory: string; days: string }, { directory: string; days: number }>(command, {
  args: process.argv.slice(2),
  fromFlags({ directory, days }) {
    if (/^[1-9]\d{0,4}$/.test(days)) return { directory, days: Number(days) };
    throw new WeirError('INVALID_ARGUMENT', `--days is "${days}", expected 1–99999`);
  },
});
if (commandLine.kind === 'exit') {
  (commandLine.status === 0 ? process.stdout : process.stderr).write(commandLine.output);
  process.exitCode = commandLine.status;
} else {
  const { directory, days } = commandLine.options;
  try {
    const authority = createAuthority({ directory });
    for (const name of command.args) process.stdout.write(`${authority.issue([name], { days }).certificate}\n`);
  } catch (error) {
    process.stderr.write(`error: ${WeirError.from(error).message}\n`);
    process.exitCode = 1;
  }
}
