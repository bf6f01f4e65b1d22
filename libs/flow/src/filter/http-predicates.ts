// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { flow } from '@weir/proto';
import { RE2JS } from 're2js';
import { monitorType } from '../event-types.ts';
import { anyOf, type Predicate, refused } from './predicate.ts';

type Filter = flow.FlowFilter.$Properties;
type Http = flow.HTTP.$Properties;

const patternCharactersMax = 4_096;

/** Compiles an expression in RE2 syntax, which is found anywhere in a value. */
export function compileExpression(expression: string, prefix: string): (value: string) => boolean {
  if (expression.length > patternCharactersMax) {
    throw refused(`${prefix}expression has ${expression.length} characters, expected at most ${patternCharactersMax}`);
  }
  try {
    const automaton = RE2JS.compile(expression);
    return (value) => automaton.matcher(value).find();
  } catch (thrown) {
    throw refused(`${prefix}${WeirError.from(thrown).message}`);
  }
}

const ofHttp =
  (test: (http: Http) => boolean): Predicate =>
  ({ l7 }) =>
    l7?.http !== null && l7?.http !== undefined && test(l7.http);

function statusTest(pattern: string): (code: string) => boolean {
  if (/^[1-5][0-9]{2}$/.test(pattern)) return (code) => code === pattern;
  if (!/^[1-5][0-9]?\+$/.test(pattern)) {
    throw refused(`invalid http status code filter: invalid status code prefix: "${pattern}"`);
  }
  const prefix = pattern.slice(0, -1);
  return (code) => code.startsWith(prefix);
}

/** The decoded path of a URL; undefined where it is none. */
export function pathOfUrl(url: string): string | undefined {
  const match = /^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*)?(?<path>[^?#]*)/.exec(url);
  const path = match?.groups?.path ?? '';
  if (!url.startsWith('/') && match?.[0].includes('://') !== true) return undefined;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

function pathPredicate(expressions: readonly string[]): Predicate {
  const isPath = anyOf(
    expressions.map((expression) => compileExpression(expression, `invalid http path filter: ${expression}: `)),
  );
  return ofHttp(({ url }) => {
    const path = pathOfUrl(url ?? '');
    return path !== undefined && isPath(path);
  });
}

const checkEventTypes = ({ eventType }: Filter, what: string): void => {
  if (!eventType?.length || eventType.some(({ type }) => type === monitorType.l7)) return;
  throw refused(`filtering by http ${what} requires the event type filter to only match 'l7' events`);
};

/** What a filter says of HTTP calls. */
export function httpPredicates(filter: Filter): Predicate[] {
  const { httpStatusCode = [], httpMethod = [], httpPath = [], httpUrl = [], httpHeader = [] } = filter;
  const predicates: Predicate[] = [];
  if (httpStatusCode?.length) {
    checkEventTypes(filter, 'status code');
    const isWanted = anyOf(httpStatusCode.map(statusTest));
    predicates.push(ofHttp(({ code }) => (code ?? 0) !== 0 && isWanted(String(code).padStart(3, '0'))));
  }
  if (httpMethod?.length) {
    checkEventTypes(filter, 'method');
    const methods = new Set(httpMethod.map((method) => method.toLowerCase()));
    predicates.push(ofHttp(({ method }) => (method ?? '') !== '' && methods.has((method ?? '').toLowerCase())));
  }
  if (httpPath?.length) {
    checkEventTypes(filter, 'path');
    predicates.push(pathPredicate(httpPath));
  }
  if (httpUrl?.length) {
    checkEventTypes(filter, 'url');
    const isUrl = anyOf(httpUrl.map((text) => compileExpression(text, 'invalid http url filter: ')));
    predicates.push(ofHttp(({ url }) => isUrl(url ?? '')));
  }
  if (httpHeader?.length) {
    checkEventTypes(filter, 'header');
    const has = (headers: Http['headers'], { key, value }: flow.HTTPHeader.$Properties): boolean =>
      headers?.some((each) => each.key === key && each.value === value) ?? false;
    predicates.push(ofHttp(({ headers }) => httpHeader.some((wanted) => has(headers, wanted))));
  }
  return predicates;
}
