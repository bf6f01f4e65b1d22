// SPDX-License-Identifier: Apache-2.0
import { RE2JS, RE2JSSyntaxException } from 're2js';
import { policyLimits } from '../limits.ts';

interface SyntaxError {
  readonly description: string;
  readonly fragment: string;
}

function compile(pattern: string): { readonly instructions: number } | SyntaxError {
  try {
    return { instructions: RE2JS.compile(pattern).programSize() };
  } catch (thrown) {
    if (!(thrown instanceof RE2JSSyntaxException)) throw thrown;
    return { description: thrown.getDescription(), fragment: thrown.getPattern() ?? '' };
  }
}

/** The first parenthesis without a partner; character classes and escapes do not count. */
function loneParenthesis(pattern: string): number {
  const open: number[] = [];
  let isInClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i];
    if (character === '\\') i++;
    else if (isInClass) isInClass = character !== ']';
    else if (character === '[') isInClass = true;
    else if (character === '(') open.push(i);
    else if (character === ')' && open.pop() === undefined) return i;
  }
  return open[0] ?? 0;
}

/** Where an error is: the engine tells the fragment it stumbles over, which the shortest failing beginning ends with. */
function errorOffset(pattern: string, error: SyntaxError): number {
  if (error.fragment === pattern && /[()]$/.test(error.description)) return loneParenthesis(pattern);
  if (error.fragment === '') return pattern.length - 1;
  for (let at = pattern.indexOf(error.fragment); at >= 0; at = pattern.indexOf(error.fragment, at + 1)) {
    const beginning = compile(pattern.slice(0, at + error.fragment.length));
    if ('fragment' in beginning && beginning.fragment === error.fragment) return at;
  }
  return 0;
}

/**
 * Why a text cannot be a regular expression of an HTTP rule, or undefined when it can. The syntax is RE2, whose matching
 * time is linear in the length of what is matched; the limits bound the memory that one expression takes.
 */
export function httpPatternProblem(pattern: string): string | undefined {
  const { patternCharactersMax, patternInstructionsMax } = policyLimits;
  if (pattern.length > patternCharactersMax) {
    return `Regular expression has ${pattern.length} characters; expected at most ${patternCharactersMax}`;
  }
  const compiled = compile(pattern);
  if ('fragment' in compiled) {
    const character = errorOffset(pattern, compiled) + 1;
    return `"${pattern}" is not a regular expression (RE2): ${compiled.description} at character ${character}`;
  }
  return compiled.instructions > patternInstructionsMax
    ? `"${pattern}" compiles to ${compiled.instructions} instructions; expected at most ${patternInstructionsMax}`
    : undefined;
}
