// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import type { Lab } from '../lab/lab.ts';
import { onStderr } from './colour.ts';

/** Name of the lab that a command is about. */
export const labNameOf = (command: Command): string => command.optsWithGlobals<{ name: string }>().name;

/** The lab that a command is about. What it takes to talk to agents is loaded only now: `exec` is to be quick. */
export async function labOf(command: Command): Promise<Lab> {
  const { createLab } = await import('../lab/lab.ts');
  return createLab({ name: labNameOf(command) });
}

/** `-o json`, for whatever prints data. */
export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table');

/** Prints data as JSON, or for people. */
export function print(format: 'table' | 'json', data: unknown, forPeople: () => string): void {
  process.stdout.write(format === 'json' ? `${JSON.stringify(data, null, 2)}\n` : forPeople());
}

/** A line about what is being done; it goes to standard error, so that output can be piped. */
export function progress(text: string): void {
  process.stderr.write(`${onStderr.cyan('==>')} ${text}\n`);
}
