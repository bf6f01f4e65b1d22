// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { compilePattern } from './pattern.ts';

describe('compilePattern()', () => {
  it.each([
    ['/v1/.*', '/v1/a', true],
    ['/v1/.*', '/v1', false],
    ['/public', '/public?a=1', false],
    ['GET|POST', 'POST', true],
    ['GET|POST', 'POSTX', false],
    ['^/a$', '/a', true],
    ['/a/[0-9]+', '/a/12', true],
    ['/a/[0-9]+', '/a/12/', false],
    ['.*', '', true],
    ['', 'x', false],
    ['(?i)example\\.com(:\\d+)?', 'EXAMPLE.com:80', true],
    ['example.com', 'exampleXcom', true],
    ['a\\$', 'a$', true],
    ['a\\.*', 'a...', true],
    ['a\\.*', 'a.b', false],
  ])('matches the whole value: %j on %j is %s', (expression, value, expected) => {
    expect(compilePattern(expression)(value)).toBe(expected);
  });

  it.each([
    ['[', 'does not compile: error parsing regexp: missing closing ]'],
    ['(?<=a)b', 'does not compile'],
    ['a{1001}', 'does not compile: error parsing regexp: invalid repeat count'],
    ['a'.repeat(5000), 'has 5000 characters, expected at most 4096'],
    ['.{1000}'.repeat(21), 'instructions, expected at most 20000'],
  ])('refuses %j', (expression, problem) => {
    expect(() => compilePattern(expression)).toThrow(problem);
  });

  // The shortcuts for literals and prefixes must not show: on any expression and any value, the answer is re2js's.
  it('agrees with re2js', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '.*',
        '^',
        '$',
        '\\.',
        '\\$',
        '\\*',
        '\\\\',
        '\\/',
        '\\-',
        '\\_',
        '\\d',
        '.',
        '*',
        'a',
        '/',
        '(a)',
        '|',
      ),
      fc.string({ unit: 'grapheme-ascii', maxLength: 3 }),
    );
    const expression = fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join(''));
    const value = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', '/', '.', '$', '*', '\\', '^', '-', '_', '1'), maxLength: 6 }),
      fc.string({ unit: 'grapheme-ascii', maxLength: 6 }),
    );
    fc.assert(
      fc.property(expression, fc.array(value, { maxLength: 4 }), (text, values) => {
        let automaton: RE2JS;
        try {
          automaton = RE2JS.compile(text);
        } catch {
          expect(() => compilePattern(text)).toThrow();
          return;
        }
        const pattern = compilePattern(text);
        // What the expression itself would match, were it a literal, is the most likely to show a difference.
        for (const each of [...values, text, text.replaceAll('\\', ''), text.replace('.*', '')]) {
          if (/[\n\r]/.test(each)) continue;
          expect({ text, each, matches: pattern(each) }).toEqual({ text, each, matches: automaton.testExact(each) });
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('takes time linear in the value, whatever the expression', () => {
    const pattern = compilePattern('(a|aa|a*)*(a|b*)*c|(.*)*(.*)*x');
    const before = performance.now();
    expect(pattern('a'.repeat(60_000))).toBe(false);
    expect(performance.now() - before).toBeLessThan(2_000);
  });
});
