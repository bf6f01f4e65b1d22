// SPDX-License-Identifier: Apache-2.0
import type { NaiveOutcome, NaiveRequest } from './naive-flow.ts';
import type { WrittenHttpRule } from './policy-document.ts';

const expressions = new Map<string, RegExp>();

function matchesWhole(pattern: string, value: string): boolean {
  const known = expressions.get(pattern) ?? new RegExp(`^(?:${pattern})$`, 's');
  expressions.set(pattern, known);
  return known.test(value);
}

interface Header {
  readonly name: string;
  readonly value?: string | undefined;
  readonly mismatch?: string | undefined;
}

/** Conditions and repairs in one form: `Name: value` and `Name` are matches without anything to do. */
function headersOf({ headers = [], headerMatches = [] }: WrittenHttpRule): Header[] {
  const written = headers.map((text): Header => {
    const [name = '', ...value] = text.split(' ');
    return { name: name.replace(/:$/, ''), value: value.length === 0 ? undefined : value.join(' ') };
  });
  return [...written, ...headerMatches].map((header) => ({ ...header, name: header.name.toLowerCase() }));
}

const isRepair = ({ value, mismatch }: Header): boolean => Boolean(value) && mismatch !== undefined;

function requestMatches(rule: WrittenHttpRule, request: NaiveRequest): boolean {
  const parts = (['method', 'path', 'host'] as const).every((part) =>
    matchesWhole(rule[part] || '.*', request[part] ?? ''),
  );
  const conditions = headersOf(rule).filter((header) => !isRepair(header));
  return (
    parts &&
    conditions.every(({ name, value }) =>
      value ? request.headers[name] === value : request.headers[name] !== undefined,
    )
  );
}

/** What some HTTP rules say of requests: one must match, and what every one that matches says is done. */
export function judgeRequests(rules: readonly WrittenHttpRule[]): NaiveOutcome {
  const matching = (request: NaiveRequest): WrittenHttpRule[] => rules.filter((rule) => requestMatches(rule, request));
  return {
    verdict: 'http',
    passes: (request) => matching(request).length > 0,
    repairs: (request) => {
      const repairs = matching(request).flatMap(headersOf).filter(isRepair);
      return [...new Set(repairs.map(({ name, value, mismatch }) => `${mismatch} ${name}: ${value}`))].sort();
    },
  };
}
