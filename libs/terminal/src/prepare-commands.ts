// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';

/**
 * Makes a program and all of its commands throw instead of ending the process, and tell who uses one of them wrongly
 * where its own help is. Called when all commands have been added.
 */
export function prepareCommands(command: Command, path: readonly string[] = []): void {
  const names = [...path, command.name()];
  command.exitOverride().showHelpAfterError(`(${names.join(' ')} --help shows how)`);
  for (const each of command.commands) prepareCommands(each, names);
}
