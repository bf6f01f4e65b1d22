// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { onStderr } from '@weir/terminal';
import { PolicyRefusedError } from '../lab/policy-refused-error.ts';

/** Writes to standard error what a command failed on, and sets the exit status. */
export function reportError(error: unknown): void {
  process.exitCode = 1;
  if (error instanceof PolicyRefusedError) {
    process.stderr.write(`${error.message}\n`);
    return;
  }
  const { message, code } = WeirError.from(error);
  process.stderr.write(`${onStderr.red('weir lab:')} ${message}\n`);
  if (code === 'INTERNAL' && error instanceof Error) process.stderr.write(`${onStderr.dim(error.stack ?? '')}\n`);
}
