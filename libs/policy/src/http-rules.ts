// SPDX-License-Identifier: Apache-2.0
import type { HttpRule } from './rule.ts';

const isUnconditional = (rule: HttpRule): boolean => Object.keys(rule).length === 0;

/**
 * Rules in canonical form: sorted and without duplicates. One without conditions stands for all others but those that
 * change headers, which they do whether or not another rule lets the request pass.
 */
export function canonicalHttpRules(rules: readonly HttpRule[]): HttpRule[] {
  const isOpen = rules.some(isUnconditional);
  const kept = rules.filter((rule) => !isOpen || isUnconditional(rule) || rule.headerMatches !== undefined);
  const byText = new Map(kept.map((rule) => [JSON.stringify(rule), rule]));
  return [...byText.keys()].sort().flatMap((text) => byText.get(text) ?? []);
}
