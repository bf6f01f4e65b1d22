// SPDX-License-Identifier: Apache-2.0
import { PassThrough } from 'node:stream';
import { expect, it } from '@jest/globals';
import { createNarrator } from './narrator.ts';

it('Narrator tells step, command and outcome, and counts what does not hold', () => {
  const stream = new PassThrough();
  const narrator = createNarrator(stream as unknown as NodeJS.WriteStream);
  narrator.step('First');
  narrator.command('./weir lab up');
  narrator.output('one\r\ntwo\n');
  narrator.check('it works', true);
  narrator.check('it flies', false);
  expect(String(stream.read())).toBe(
    '\n==> 1. First\n  $ ./weir lab up\n    one\n    two\n  ✓ it works\n  ✗ it flies\n',
  );
  expect(narrator.counts()).toEqual({ checks: 2, failures: 1 });
});
