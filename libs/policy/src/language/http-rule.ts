// SPDX-License-Identifier: Apache-2.0
import { policyLimits } from '../limits.ts';
import { notEnforced } from '../document/not-enforced.ts';
import { descend, type Place, reportProblem } from '../document/place.ts';
import {
  listReader,
  objectReader,
  type ObjectSchema,
  type Reader,
  readString,
  refineReader,
  wordReader,
} from '../document/readers.ts';
import {
  type HeaderMismatch,
  headerMismatches,
  type HttpHeader,
  type HttpHeaderMatch,
  type HttpRule,
} from '../rule.ts';
import { httpPatternProblem } from './http-pattern.ts';

const readPattern: Reader<string> = refineReader(readString, (pattern, place) => {
  const problem = httpPatternProblem(pattern);
  return problem === undefined ? pattern : reportProblem(place, problem);
});

const readHeaderName: Reader<string> = refineReader(readString, (name, place) =>
  /^[\w!#$%&'*+.^`|~-]+$/.test(name)
    ? name.toLowerCase()
    : reportProblem(place, `"${name}" is not the name of an HTTP header`),
);

const readHeaderValue: Reader<string> = refineReader(readString, (value, place) => {
  const { headerValueCharactersMax } = policyLimits;
  if (value.length > headerValueCharactersMax) {
    const message = `Value has ${value.length} characters; expected at most ${headerValueCharactersMax}`;
    return reportProblem(place, message);
  }
  // A line break would begin another header, and what is at the ends never reaches anybody.
  return /^([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?$/.test(value)
    ? value
    : reportProblem(place, `${JSON.stringify(value)} is not the value of an HTTP header`);
});

/** `X-Key` or `X-Key: value`, divided at the first space as in the reference. */
const readHeader: Reader<HttpHeader> = refineReader(readString, (text, place) => {
  const space = text.indexOf(' ');
  const written = (space < 0 ? text : text.slice(0, space)).replace(/:$/, '');
  if (written.includes(':')) {
    return reportProblem(place, `"${text}" has no space after the colon; write "Name: value", or the name alone`);
  }
  const part = (value: string): Place => ({ ...place, node: { ...place.node, kind: 'scalar', value, text: value } });
  const name = readHeaderName(part(written));
  const value = space < 0 ? undefined : readHeaderValue(part(text.slice(space + 1).trim()));
  if (name === undefined || (space >= 0 && value === undefined)) return undefined;
  return { name, ...(value !== undefined && value !== '' && { value }) };
});

interface HeaderMatchFields {
  readonly name: string;
  readonly value?: string;
  readonly mismatch?: HeaderMismatch;
}

// Whoever changes these changes where a request ends, or whom it is for.
const framingHeaders = [
  ...['connection', 'content-length', 'expect', 'host', 'keep-alive', 'proxy-connection', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade'],
];

/** An item of `headerMatches`. */
export const headerMatchSchema: ObjectSchema<HeaderMatchFields> = {
  fields: {
    name: readHeaderName,
    value: readHeaderValue,
    mismatch: wordReader(headerMismatches, 'what can be done about a header'),
  },
  required: ['name'],
  refused: { secret: notEnforced('values from secrets; write the value') },
  check({ name, value, mismatch }, place) {
    if (name === undefined || mismatch === undefined) return;
    const at = descend(place, ['mismatch']);
    if (mismatch !== 'LOG' && framingHeaders.includes(name)) {
      reportProblem(at, `Header "${name}" belongs to the proxy; it can be logged, and not changed`);
    } else if (value === undefined || value === '') {
      const message = `${mismatch} has no effect without a value: the header must be there, or the request is refused`;
      reportProblem(at, message, { severity: 'warning' });
    }
  },
};

interface HttpFields extends Pick<HttpRule, 'method' | 'path' | 'host' | 'headers'> {
  readonly headerMatches?: readonly HeaderMatchFields[];
}

const headerListLimits = { itemsMax: policyLimits.headersPerHttpRuleMax };
const headersNeed = { feature: 'httpHeaders', what: 'conditions on headers other than Host' } as const;

/** An item of `rules.http`. */
export const httpRuleSchema: ObjectSchema<HttpFields> = {
  fields: {
    method: readPattern,
    path: readPattern,
    host: readPattern,
    headers: listReader(readHeader, headerListLimits),
    headerMatches: listReader(objectReader(headerMatchSchema), headerListLimits),
  },
  needs: { headers: headersNeed, headerMatches: headersNeed },
};

const repairOf = ({ name, value, mismatch }: HeaderMatchFields): HttpHeaderMatch[] =>
  value && mismatch ? [{ name, value, mismatch }] : [];

/** A match without anything to do on a mismatch is a condition like any other. */
const conditionOf = ({ name, value, mismatch }: HeaderMatchFields): HttpHeader[] =>
  value && mismatch ? [] : [{ name, ...(value && { value }) }];

function unique<T>(items: readonly T[]): T[] {
  const byText = new Map(items.map((item) => [JSON.stringify(item), item]));
  return [...byText.keys()].sort().flatMap((text) => byText.get(text) ?? []);
}

/** Reads `rules.http`. Conditions that are empty are left out. */
export const readHttpRules: Reader<readonly HttpRule[]> = listReader(
  refineReader(objectReader(httpRuleSchema), (fields): HttpRule => {
    const { method, path, host, headers = [], headerMatches = [] } = fields;
    const conditions = unique([...headers, ...headerMatches.flatMap(conditionOf)]);
    const repairs = unique(headerMatches.flatMap(repairOf));
    return {
      ...(method && { method }),
      ...(path && { path }),
      ...(host && { host }),
      ...(conditions.length > 0 && { headers: conditions }),
      ...(repairs.length > 0 && { headerMatches: repairs }),
    };
  }),
  { itemsMax: policyLimits.httpRulesPerPortRuleMax },
);
