// SPDX-License-Identifier: Apache-2.0
import type { HttpRule } from '../rule.ts';
import { onlyPolicy, specProblems, warningsOf, withSpec } from '../testing/parse-text.ts';

const withHttp = (rules: string): string =>
  `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: ${rules}}}]}]`;
const rulesOf = (rules: string): readonly HttpRule[] | undefined =>
  onlyPolicy(withSpec(withHttp(rules))).rules[0]?.ingress.grants[0]?.http;

describe('conditions on headers', () => {
  it('are presence, or one value, with names in lower case', () => {
    expect(rulesOf('[{headers: ["X-Key", "X-Token: a b ", "X-Old:"]}]')).toEqual([
      { headers: [{ name: 'x-key' }, { name: 'x-old' }, { name: 'x-token', value: 'a b' }] },
    ]);
  });

  it('may be written as matches without anything to do', () => {
    expect(rulesOf('[{headerMatches: [{name: X-Key}, {name: X-Token, value: a}], path: /x}]')).toEqual([
      { path: '/x', headers: [{ name: 'x-key' }, { name: 'x-token', value: 'a' }] },
    ]);
  });

  it.each([
    ['[{headers: ["X-Key:value"]}]', 'headers[0]: "X-Key:value" has no space after the colon; write "Name: value"'],
    ['[{headers: [""]}]', '"" is not the name of an HTTP header'],
    ['[{headers: ["(a): b"]}]', '"(a)" is not the name of an HTTP header'],
    ['[{headers: ["a: b\\nc: d"]}]', '"b\\nc: d" is not the value of an HTTP header'],
    ['[{headerMatches: [{name: ""}]}]', 'headerMatches[0].name: "" is not the name of an HTTP header'],
    ['[{headerMatches: [{value: x}]}]', 'headerMatches[0].name: Field "name" is missing'],
    [
      '[{headerMatches: [{name: a, value: x, mismatch: DROP}]}]',
      '"DROP" is not what can be done about a header (one of',
    ],
    ['[{headerMatches: [{name: a, value: "x\\r", mismatch: ADD}]}]', 'is not the value of an HTTP header'],
    ['[{headerMatches: [{name: Expect, value: x, mismatch: ADD}]}]', 'Header "expect" belongs to the proxy; it can be'],
    ['[{headerMatches: [{name: a, mismatch: ADD, secret: {name: s}}]}]', 'headerMatches[0].secret: '],
    ['[{headerMatches: [{name: Host, value: x, mismatch: REPLACE}]}]', 'Header "host" belongs to the proxy; it can be'],
    [`[{headers: [${'a,'.repeat(101)}]}]`, 'headers: List has 101 items; expected at most 100'],
    [`[{headers: ["a: ${'x'.repeat(4097)}"]}]`, 'Value has 4097 characters; expected at most 4096'],
  ])('%s are refused', (rules, message) => {
    expect(specProblems(withHttp(rules))).toEqual([expect.stringContaining(message)]);
  });
});

describe('repairs of headers', () => {
  it.each(['LOG', 'ADD', 'DELETE', 'REPLACE'])('%s are kept apart from conditions, in canonical order', (mismatch) => {
    expect(
      rulesOf(`[{headerMatches: [{name: Z, value: x, mismatch: ${mismatch}}, {name: A, value: y, mismatch: LOG}]}]`),
    ).toEqual([
      {
        headerMatches: [
          { name: 'a', value: 'y', mismatch: 'LOG' },
          { name: 'z', value: 'x', mismatch },
        ],
      },
    ]);
  });

  it('without a value only want the header to be there, of which a warning tells', () => {
    expect(rulesOf('[{headerMatches: [{name: a, mismatch: ADD}]}]')).toEqual([{ headers: [{ name: 'a' }] }]);
    expect(warningsOf(withSpec(withHttp('[{headerMatches: [{name: a, mismatch: ADD}]}]')))).toEqual([
      expect.stringContaining(
        'mismatch: ADD has no effect without a value: the header must be there, or the request is',
      ),
    ]);
  });

  it('stay beside a rule that lets everything pass, while conditions do not', () => {
    expect(rulesOf('[{}, {path: /a}, {headerMatches: [{name: a, value: x, mismatch: ADD}]}]')).toEqual([
      { headerMatches: [{ name: 'a', value: 'x', mismatch: 'ADD' }] },
      {},
    ]);
  });
});
