// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { hasDotSegment } from './dot-segments.ts';

describe('hasDotSegment()', () => {
  it.each([
    '/public/../admin',
    '/public/..',
    '/..',
    '..',
    '/./a',
    '/public/%2e%2e/admin',
    '/public/.%2E/admin',
    '/public/..%2fadmin',
    '/public%2f..%2fadmin',
    '/public/..%5Cadmin',
    '/public\\..\\admin',
    '/public/..;a=b/admin',
    '/public/..%3b/admin',
    '/a/..?x',
  ])('sees one in %s', (path) => {
    expect(hasDotSegment(path)).toBe(true);
  });

  it.each(['/', '/a.b/..c/d..', '/...', '/a?x=/../y', '/%2e%2e%2e/a', '', '*', '/.well-known/x', '/a..', '/a%2eb'])(
    'sees none in %s',
    (path) => {
      expect(hasDotSegment(path)).toBe(false);
    },
  );
});
