// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { compilePattern, type Pattern } from './pattern.ts';

/** One alternative as the agent sends it: regular expressions over whole values, empty for any. */
export interface HttpRuleSpec {
  readonly method: string;
  readonly path: string;
  readonly host: string;
}

/** A rule set as the agent sends it. */
export interface RuleSetSpec {
  readonly id: number;
  readonly http: readonly HttpRuleSpec[];
}

/** What a request is judged by. */
export interface HttpCall {
  readonly method: string;
  /** With the query; empty for CONNECT. */
  readonly path: string;
  readonly host: string;
  /** True when a server may take the path for another one; then no rule about paths can vouch for it. */
  readonly ambiguousPath: boolean;
}

interface HttpRule {
  readonly method: Pattern | undefined;
  readonly path: Pattern | undefined;
  readonly host: Pattern | undefined;
}

/** A compiled rule set. */
export interface RuleSet {
  readonly spec: RuleSetSpec;
  /** Why the set cannot be applied; it then refuses every request. */
  readonly problem: WeirError | undefined;
  /** True when one alternative matches, or when there are none. */
  allows(call: HttpCall): boolean;
}

const compileField = (expression: string): Pattern | undefined =>
  expression === '' ? undefined : compilePattern(expression);

const compileRule = (spec: HttpRuleSpec): HttpRule => ({
  method: compileField(spec.method),
  path: compileField(spec.path),
  host: compileField(spec.host),
});

const ruleMatches = (rule: HttpRule, call: HttpCall): boolean =>
  (rule.method === undefined || rule.method(call.method)) &&
  (rule.host === undefined || rule.host(call.host)) &&
  (rule.path === undefined || (!call.ambiguousPath && rule.path(call.path)));

/** Compiles a rule set. One with an expression that does not compile refuses everything and carries the `problem`. */
export function compileRuleSet(spec: RuleSetSpec): RuleSet {
  try {
    const rules = spec.http.map(compileRule);
    const allows = (call: HttpCall): boolean => rules.length === 0 || rules.some((rule) => ruleMatches(rule, call));
    return { spec, problem: undefined, allows };
  } catch (thrown) {
    return { spec, problem: WeirError.from(thrown), allows: () => false };
  }
}

/** True when both say the same, so that the compiled form of one serves for the other. */
export function sameRules(a: RuleSetSpec, b: RuleSetSpec): boolean {
  if (a.http.length !== b.http.length) return false;
  return a.http.every((rule, i) => {
    const other = b.http[i];
    return rule.method === other?.method && rule.path === other.path && rule.host === other.host;
  });
}
