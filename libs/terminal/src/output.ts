// SPDX-License-Identifier: Apache-2.0
import { Option } from 'commander';
import { onStderr } from './colour.ts';
import { jsonText } from './json-text.ts';

/** How data is printed. */
export type OutputFormat = 'table' | 'json';

/** `-o json`, for whatever prints data. */
export const outputOption = (): Option =>
  new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table');

/** Prints data as JSON, or for people. */
export function print(format: OutputFormat, data: unknown, forPeople: () => string): void {
  process.stdout.write(format === 'json' ? `${jsonText(data, 2)}\n` : forPeople());
}

/** A line about what is being done; it goes to standard error, so that output can be piped. */
export function progress(text: string): void {
  process.stderr.write(`${onStderr.cyan('==>')} ${text}\n`);
}
