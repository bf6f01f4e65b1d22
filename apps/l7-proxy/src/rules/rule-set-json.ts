// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { HttpRuleSpec, RuleSetSpec } from './rule-set.ts';

/** Whether a parsed JSON value is an object, and not a list. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;

const isListOf = (value: unknown, texts: readonly string[]): boolean =>
  value === undefined ||
  (Array.isArray(value) &&
    value.every((item: unknown) => isRecord(item) && texts.every((field) => typeof item[field] === 'string')));

const isHeaders = (value: unknown): boolean =>
  isListOf(value, ['name']) &&
  ((value ?? []) as readonly { value?: unknown }[]).every((item) =>
    ['string', 'undefined'].includes(typeof item.value),
  );

const isRule = (value: unknown): value is HttpRuleSpec =>
  isRecord(value) &&
  ['method', 'path', 'host'].every((field) => typeof value[field] === 'string') &&
  isHeaders(value['headers']) &&
  isListOf(value['headerMatches'], ['name', 'value', 'mismatch']);

const isRuleSet = (value: unknown): value is RuleSetSpec =>
  isRecord(value) && Number.isInteger(value.id) && Array.isArray(value.http) && value.http.every(isRule);

/** Rule sets out of parsed JSON. INVALID_ARGUMENT names the first entry of `field` that is not one. */
export function readRuleSetList(value: unknown, field: string): readonly RuleSetSpec[] {
  if (!Array.isArray(value)) throw new WeirError('INVALID_ARGUMENT', `"${field}" is not a list`);
  return value.map((set: unknown, i) => {
    if (isRuleSet(set)) return set;
    const expected = 'expected {id, http: [{method, path, host, headers, headerMatches}]}';
    const found = JSON.stringify(set).slice(0, 200);
    throw new WeirError('INVALID_ARGUMENT', `"${field}[${i}]" is ${found}, ${expected}`);
  });
}

/** JSON text, parsed. INVALID_ARGUMENT when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WeirError('INVALID_ARGUMENT', `Not JSON: ${WeirError.from(cause).message}`, { cause });
  }
}
