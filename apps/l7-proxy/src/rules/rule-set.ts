// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  canRepair,
  checkHeaderRules,
  type HeaderConditionSpec,
  type HeaderDifference,
  type HeaderRepairSpec,
  meetsConditions,
  repairHeaders,
} from './header-rule.ts';
import { compilePattern, type Pattern } from './pattern.ts';
import type { RequestHeaders } from './request-headers.ts';

/** One alternative as the agent sends it: regular expressions over whole values, empty for any. */
export interface HttpRuleSpec {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers?: readonly HeaderConditionSpec[];
  readonly headerMatches?: readonly HeaderRepairSpec[];
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
  /** Read only where a rule set looks at them. */
  readonly headers?: RequestHeaders;
}

interface HttpRule {
  readonly method: Pattern | undefined;
  readonly path: Pattern | undefined;
  readonly host: Pattern | undefined;
  readonly headers: readonly HeaderConditionSpec[];
  readonly repairs: readonly HeaderRepairSpec[];
}

/** A compiled rule set. */
export interface RuleSet {
  readonly spec: RuleSetSpec;
  /** Why the set cannot be applied; it then refuses every request. */
  readonly problem: WeirError | undefined;
  /** Names of the headers that it looks at or changes; empty: it must be shown none. */
  readonly headerNames: ReadonlySet<string>;
  /** True when one alternative matches, or when there are none. */
  allows(call: HttpCall): boolean;
  /** Puts right what the alternatives that match want to be right, and says what was not. */
  repair(call: HttpCall): readonly HeaderDifference[];
}

const compileField = (expression: string): Pattern | undefined =>
  expression === '' ? undefined : compilePattern(expression);

function compileRule({ method, path, host, headers = [], headerMatches = [] }: HttpRuleSpec): HttpRule {
  checkHeaderRules(headers, headerMatches);
  return {
    method: compileField(method),
    path: compileField(path),
    host: compileField(host),
    headers,
    repairs: headerMatches,
  };
}

function headersMatch({ headers, repairs }: HttpRule, call: HttpCall): boolean {
  if (headers.length + repairs.length === 0) return true;
  return call.headers !== undefined && meetsConditions(headers, call.headers) && canRepair(repairs, call.headers);
}

const ruleMatches = (rule: HttpRule, call: HttpCall): boolean =>
  (rule.method === undefined || rule.method(call.method)) &&
  (rule.host === undefined || rule.host(call.host)) &&
  (rule.path === undefined || (!call.ambiguousPath && rule.path(call.path))) &&
  headersMatch(rule, call);

/** Compiles a rule set. One with an expression that does not compile refuses everything and carries the `problem`. */
export function compileRuleSet(spec: RuleSetSpec): RuleSet {
  try {
    const rules = spec.http.map(compileRule);
    const allows = (call: HttpCall): boolean => rules.length === 0 || rules.some((rule) => ruleMatches(rule, call));
    const headerNames = new Set(
      rules.flatMap(({ headers, repairs }) => [...headers, ...repairs]).map(({ name }) => name),
    );
    const repair = (call: HttpCall): readonly HeaderDifference[] => {
      const { headers } = call;
      if (headers === undefined) return [];
      // Which rules match is decided before any of them changes what the others look at.
      const matching = rules.filter((rule) => rule.repairs.length > 0 && ruleMatches(rule, call));
      return matching.flatMap(({ repairs }) => repairHeaders(repairs, headers));
    };
    return { spec, problem: undefined, headerNames, allows, repair };
  } catch (thrown) {
    const problem = WeirError.from(thrown);
    return { spec, problem, headerNames: new Set(), allows: () => false, repair: () => [] };
  }
}

const isSame = (a: readonly object[] = [], b: readonly object[] = []): boolean =>
  a === b || (a.length === b.length && JSON.stringify(a) === JSON.stringify(b));

/** True when both say the same, so that the compiled form of one serves for the other. */
export function sameRules(a: RuleSetSpec, b: RuleSetSpec): boolean {
  if (a.http.length !== b.http.length) return false;
  return a.http.every((rule, i) => {
    const other = b.http[i];
    if (rule.method !== other?.method || rule.path !== other.path || rule.host !== other.host) return false;
    return isSame(rule.headers, other.headers) && isSame(rule.headerMatches, other.headerMatches);
  });
}
