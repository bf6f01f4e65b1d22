// SPDX-License-Identifier: Apache-2.0
// What command lines print: tables and colours where a person looks, JSON where a program reads.
export { onStderr, onStdout } from './colour.ts';
export { jsonText } from './json-text.ts';
export { outputOption, print, progress, type OutputFormat } from './output.ts';
export { prepareCommands } from './prepare-commands.ts';
export { printable } from './printable.ts';
export { table } from './table.ts';
