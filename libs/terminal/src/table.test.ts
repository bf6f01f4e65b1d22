// SPDX-License-Identifier: Apache-2.0
import { stripVTControlCharacters } from 'node:util';
import { expect, it } from '@jest/globals';
import { table } from './table.ts';

it('table() lines up cells by what is visible of them', () => {
  const rows = [
    ['a', '\u001b[32mgreen\u001b[39m', 'x'],
    ['longer', 'b', ''],
  ];
  expect(stripVTControlCharacters(table(['NAME', 'STATE', 'Z'], rows))).toBe(
    'NAME    STATE  Z\na       green  x\nlonger  b\n',
  );
});
