// SPDX-License-Identifier: Apache-2.0
// What a proxy does with the rule set of a redirect, as plainly as can be.
import type { NaiveRequest } from '@weir/policy-testing';
import type { RuleSet } from '../policy-entry.ts';
import type { HttpRule } from '../rule.ts';

const expressions = new Map<string, RegExp>();

function matchesWhole(pattern: string, value: string): boolean {
  const known = expressions.get(pattern) ?? new RegExp(`^(?:${pattern})$`);
  expressions.set(pattern, known);
  return known.test(value);
}

function matches(rule: HttpRule, request: NaiveRequest): boolean {
  const { headers = [] } = rule;
  return (
    (['method', 'path', 'host'] as const).every((part) => matchesWhole(rule[part] ?? '.*', request[part])) &&
    headers.every(({ name, value }) => {
      const found = request.headers[name];
      return value === undefined ? found !== undefined : found === value;
    })
  );
}

/** Whether a request passes, and what is done to its headers if so: `ACTION name: value`, sorted. */
export function applyRuleSet(
  { http }: RuleSet,
  request: NaiveRequest,
): { readonly passes: boolean; readonly repairs: readonly string[] } {
  const matching = http.filter((rule) => matches(rule, request));
  const repairs = matching.flatMap(({ headerMatches = [] }) =>
    headerMatches.map(({ name, value, mismatch }) => `${mismatch} ${name}: ${value}`),
  );
  return { passes: http.length === 0 || matching.length > 0, repairs: [...new Set(repairs)].sort() };
}
