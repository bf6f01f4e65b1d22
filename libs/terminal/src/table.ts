// SPDX-License-Identifier: Apache-2.0
import { stripVTControlCharacters } from 'node:util';
import { onStdout } from './colour.ts';

/** Lines up cells under a header, two spaces apart. Cells may be coloured. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => visibleLength(row[i] ?? ''))));
  const line = (cells: readonly string[]): string =>
    `${cells.map((cell, i) => cell + ' '.repeat(Math.max(0, (widths[i] ?? 0) - visibleLength(cell)))).join('  ')}`.trimEnd();
  return [onStdout.bold(line(header)), ...rows.map(line)].map((text) => `${text}\n`).join('');
}

const visibleLength = (text: string): number => stripVTControlCharacters(text).length;
