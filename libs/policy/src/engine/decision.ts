// SPDX-License-Identifier: Apache-2.0
import { canonicalHttpRules } from '../http-rules.ts';
import type { EntryOrigin, PolicyEntry, RuleSet } from '../policy-entry.ts';
import type { Grant, HttpRule } from '../rule.ts';

/** A grant at work in an engine; `id` is never used again for another one. */
export interface ActiveGrant extends Pick<Grant, 'verdict' | 'peers' | 'ports' | 'namedPorts' | 'http'> {
  readonly id: number;
  /** Absent for grants of Weir's own. */
  readonly origin?: EntryOrigin;
}

/** What some grants together say about one peer and port. */
export type Decision = Pick<PolicyEntry, 'verdict' | 'ruleSet' | 'origins'>;

/** Whether a grant lets only certain requests through. */
export const isRedirect = (grant: ActiveGrant): boolean => grant.verdict === 'allow' && grant.http !== undefined;

/** Makes the canonical rule set of some rules; it is empty when all of them let everything through as it is. */
export function createRuleSet(rules: readonly HttpRule[]): RuleSet {
  const canonical = canonicalHttpRules(rules);
  const http = canonical.every((rule) => Object.keys(rule).length === 0) ? [] : canonical;
  return { key: JSON.stringify(http), http };
}

const compareText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

/** Origins in an order that does not depend on the order in which policies came. */
const originsOf = (grants: readonly ActiveGrant[]): EntryOrigin[] =>
  grants
    .flatMap((grant) => (grant.origin === undefined ? [] : [grant.origin]))
    .sort((a, b) => compareText(a.policy, b.policy) || a.rule - b.rule || compareText(a.path, b.path));

/** Decides: a denial beats everything, and what lets everything through beats what lets certain requests through. */
export function decide(grants: readonly ActiveGrant[]): Decision {
  const denials = grants.filter((grant) => grant.verdict === 'deny');
  if (denials.length > 0) return { verdict: 'deny', origins: originsOf(denials) };
  const plain = grants.filter((grant) => !isRedirect(grant));
  if (plain.length > 0) return { verdict: 'allow', origins: originsOf(plain) };
  const ruleSet = createRuleSet(grants.flatMap((grant) => grant.http ?? []));
  return { verdict: 'redirect', ruleSet, origins: originsOf(grants) };
}

/** Whether two decisions make the same entry, for the kernel and for people. */
export function sameDecision(pair: { readonly a: Decision | undefined; readonly b: Decision | undefined }): boolean {
  const { a, b } = pair;
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return (
    a.verdict === b.verdict &&
    a.ruleSet?.key === b.ruleSet?.key &&
    a.origins.length === b.origins.length &&
    a.origins.every((origin, index) => {
      const other = b.origins[index];
      return origin.policy === other?.policy && origin.rule === other.rule && origin.path === other.path;
    })
  );
}
