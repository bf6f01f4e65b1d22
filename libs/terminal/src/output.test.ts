// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { jsonText } from './json-text.ts';
import { printable } from './printable.ts';

it('jsonText() prints the defaults that a message inherits, at every depth', () => {
  const message = (fields: object): object =>
    Object.assign(Object.create({ id: 0, name: '', inner: null, encode: () => 0 }) as object, fields);
  expect(
    JSON.parse(jsonText([message({ name: 'a', inner: message({ id: 5 }), $unknowns: [] }), { plain: true }])),
  ).toEqual([{ id: 0, name: 'a', inner: { id: 5, name: '', inner: null } }, { plain: true }]);
});

it('printable() writes control characters out, and nothing else', () => {
  expect(printable('a\u001b[31m\n\u007f\u009bé→')).toBe('a\\x1b[31m\\x0a\\x7f\\x9bé→');
});
