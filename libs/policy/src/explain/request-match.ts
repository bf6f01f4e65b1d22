// SPDX-License-Identifier: Apache-2.0
import { RE2JS } from 're2js';
import type { RuleSet } from '../policy-entry.ts';
import type { HttpHeader, HttpRule } from '../rule.ts';
import type { HttpRequest } from './explain-types.ts';

/** A condition of an HTTP rule and what a request has instead. */
export interface RequestMiss {
  readonly wanted: string;
  readonly found: string;
}

const matchesWhole = (pattern: string, value: string): boolean => RE2JS.matches(pattern, value);

function headerMiss({ name, value }: HttpHeader, { headers = [] }: HttpRequest): RequestMiss | undefined {
  const fields = headers.filter((header) => header.name.toLowerCase() === name).map((header) => header.value);
  // Whoever is asked may join the fields of a header, or look at any one of them: only all of them together say one thing.
  if (value === undefined ? fields.length > 0 : fields.join(',') === value) return undefined;
  const wanted = value === undefined ? `header ${name}` : `header ${name}: ${value}`;
  return { wanted, found: fields.length === 0 ? `no ${name}` : fields.join(', ') };
}

/** What a rule wants of a request and does not find; empty when the request passes. */
export function requestMisses(rule: HttpRule, request: HttpRequest): RequestMiss[] {
  const misses: RequestMiss[] = [];
  for (const part of ['method', 'path', 'host'] as const) {
    const pattern = rule[part];
    const value = request[part] ?? '';
    if (pattern !== undefined && !matchesWhole(pattern, value)) {
      misses.push({ wanted: `${part} ${pattern}`, found: value === '' ? `no ${part}` : value });
    }
  }
  return [...misses, ...(rule.headers ?? []).flatMap((header) => headerMiss(header, request) ?? [])];
}

/** Whether a rule set lets a request pass. */
export function requestPasses({ http }: RuleSet, request: HttpRequest): boolean {
  return http.length === 0 || http.some((rule) => requestMisses(rule, request).length === 0);
}
