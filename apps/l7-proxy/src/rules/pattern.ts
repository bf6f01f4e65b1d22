// SPDX-License-Identifier: Apache-2.0
import { RE2JS } from 're2js';
import { WeirError } from '@weir/errors';

/** Whether the whole of a value matches. */
export type Pattern = (value: string) => boolean;

const patternCharactersMax = 4096;
// Instructions of the compiled automaton; a match costs at most this times the length of the value.
const programSizeMax = 20_000;

const literalPattern = /^(?:[A-Za-z0-9 !"#%&',/:;<=>@_`~-]|\\[!-/:-@[-`{-~])*$/;

/**
 * Compiles a regular expression in RE2 syntax; it must match a value from its first to its last character. Matching takes
 * time linear in the value, whatever the expression. INVALID_ARGUMENT says what is wrong with one that does not compile.
 *
 * Values are visible ASCII: the parser lets nothing else into a method, a target or a host.
 */
export function compilePattern(expression: string): Pattern {
  if (expression.length > patternCharactersMax) {
    throw malformed(expression, `has ${expression.length} characters, expected at most ${patternCharactersMax}`);
  }
  return shortcut(expression) ?? compileAutomaton(expression);
}

function compileAutomaton(expression: string): Pattern {
  const automaton = compileOrThrow(expression);
  if (automaton.programSize() > programSizeMax) {
    throw malformed(
      expression,
      `compiles to ${automaton.programSize()} instructions, expected at most ${programSizeMax}`,
    );
  }
  return (value) => automaton.testExact(value);
}

function compileOrThrow(expression: string): RE2JS {
  try {
    return RE2JS.compile(expression);
  } catch (thrown) {
    throw malformed(expression, `does not compile: ${WeirError.from(thrown).message}`, thrown);
  }
}

function malformed(expression: string, problem: string, cause?: unknown): WeirError {
  const shown = expression.length <= 200 ? expression : `${expression.slice(0, 200)}…`;
  return new WeirError('INVALID_ARGUMENT', `Regular expression "${shown}" ${problem}`, { cause });
}

/** Most rules are a literal or `literal.*`: string comparison gives the same answer as the automaton, sooner. */
function shortcut(expression: string): Pattern | undefined {
  let body = expression.startsWith('^') ? expression.slice(1) : expression;
  if (body.endsWith('$') && !body.endsWith('\\$')) body = body.slice(0, -1);
  const isPrefix = body.endsWith('.*') && !body.endsWith('\\.*');
  const escaped = isPrefix ? body.slice(0, -2) : body;
  if (!literalPattern.test(escaped)) return undefined;
  const literal = escaped.replace(/\\(.)/g, '$1');
  return isPrefix ? (value) => value.startsWith(literal) : (value) => value === literal;
}
