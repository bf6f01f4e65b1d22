// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Command, CommanderError, InvalidArgumentError, Option } from 'commander';

/** What to do: run, or print something and leave. Status 0 for help and version, 2 for a mistake on the command line. */
export type CommandLine<Options> =
  | { readonly kind: 'run'; readonly options: Options }
  | { readonly kind: 'exit'; readonly status: 0 | 2; readonly output: string };

/**
 * Runs a check of ours as one of commander's, which puts the flag's name in front of its message. A flag that may be
 * repeated gets its value before as `previous`.
 */
export function checkedFlag<Value>(
  check: (text: string, previous: Value | undefined) => Value,
): (text: string, previous: Value | undefined) => Value {
  return (text, previous) => {
    try {
      return check(text, previous);
    } catch (error) {
      throw new InvalidArgumentError(WeirError.from(error).message);
    }
  };
}

/** A flag whose value must be one of a few. */
export const choiceFlag = (flag: string, description: string, choices: readonly [string, ...string[]]): Option =>
  new Option(flag, description).choices([...choices]).default(choices[0]);

/**
 * Reads a command line, without the program's own name. `fromFlags` checks what single flags cannot, by throwing
 * INVALID_ARGUMENT. Never throws for what a user wrote.
 */
export function readCommandLine<Flags extends object, Options>(
  command: Command,
  read: { readonly args: readonly string[]; readonly fromFlags: (flags: Flags) => Options },
): CommandLine<Options> {
  const output: string[] = [];
  command
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void output.push(text),
      writeErr: (text) => void output.push(text),
    });
  try {
    command.parse(read.args, { from: 'user' });
    return { kind: 'run', options: read.fromFlags(command.opts<Flags>()) };
  } catch (error) {
    if (error instanceof CommanderError) {
      return { kind: 'exit', status: error.exitCode === 0 ? 0 : 2, output: output.join('') };
    }
    if (!(error instanceof WeirError)) throw error;
    return { kind: 'exit', status: 2, output: `error: ${error.message}\n` };
  }
}
