// SPDX-License-Identifier: Apache-2.0
// Rules about headers from the text of a policy to the head that is forwarded, held to a second reading of the language.
import { describe, expect, it } from '@jest/globals';
import { type HttpRule, parsePolicyFiles } from '@weir/policy';
import { arbitraryHttpRule, createReplay, judgeRequests, type WrittenHttpRule } from '@weir/policy-testing';
import fc from 'fast-check';
import { Progress } from '../http/field-parser.ts';
import { type HeaderField, readHeaderFields } from '../http/header-fields.ts';
import { RequestHead } from '../http/request-head.ts';
import { createJudge } from './judge.ts';
import { createJudgementCache } from './judgement-cache.ts';
import { createRuleSets } from './rule-sets.ts';

const replay = createReplay();

function readRules(http: readonly WrittenHttpRule[]): readonly HttpRule[] {
  const toPorts = [{ ports: [{ port: '80', protocol: 'TCP' }], rules: { http } }];
  const document = {
    ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'p' } },
    spec: { endpointSelector: {}, ingress: [{ toPorts }] },
  };
  const { policies, problems } = parsePolicyFiles([{ name: 'p.json', content: JSON.stringify(document) }]);
  expect(problems).toEqual([]);
  return policies[0]?.rules[0]?.ingress.grants[0]?.http ?? [];
}

const field = fc.tuple(fc.constantFrom('X-A', 'x-a', 'X-B', 'Accept'), fc.constantFrom('1', '2', ''));
interface Request {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const arbitraryRequest: fc.Arbitrary<Request> = fc.record({
  method: fc.constantFrom('GET', 'PUT'),
  path: fc.constantFrom('/a', '/a/b', '/b'),
  fields: fc.array(field, { maxLength: 4 }),
});

function parse(text: string): { readonly head: RequestHead; readonly bytes: Buffer; readonly fields: HeaderField[] } {
  const head = new RequestHead({ fieldsMax: 50, headBytesMax: 4096 });
  const bytes = Buffer.from(text, 'latin1');
  expect([head.parse(bytes, bytes.length), head.end]).toEqual([Progress.DONE, bytes.length]);
  return { head, bytes, fields: readHeaderFields(head, bytes) };
}

const joined = (fields: readonly Pick<HeaderField, 'name' | 'value'>[], wanted: string): string | undefined => {
  const values = fields.filter(({ name }) => name === wanted).map(({ value }) => value);
  return values.length === 0 ? undefined : values.join(',');
};

/** What becomes of a header, where one repair is about it. */
function repaired(repair: string, found: string | undefined): string | undefined {
  const [action = '', , value = ''] = repair.split(' ');
  if (found === value || action === 'LOG') return found;
  if (action === 'DELETE') return undefined;
  return action === 'REPLACE' || found === undefined ? value : `${found},${value}`;
}

describe(`rules about headers (${replay.title})`, () => {
  it('let pass and put right what the reference says, and change nothing else', async () => {
    const seen = { passed: 0, refused: 0, repaired: 0 };
    const judging = async (written: readonly WrittenHttpRule[], request: Request): Promise<void> => {
      const { method, path, fields } = request;
      const rules = readRules(written);
      const ruleSets = createRuleSets();
      const http = rules.map((rule) => ({ method: '', path: '', host: '', ...rule }));
      await ruleSets.apply({ snapshot: true, upserted: [{ id: 1, http }], deleted: [] });
      const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const sent = parse(`${method} ${path} HTTP/1.1\r\nHost: h\r\n${lines}Content-Length: 3\r\n\r\n`);
      const policy = { sourceIdentity: 1, destinationIdentity: 2, egressRuleSet: 0, ingressRuleSet: 1, revision: 1 };
      const judge = createJudge({ ruleSets, cache: createJudgementCache() });
      const { reason, rewrittenHead } = judge.judge(sent.head, sent.bytes, policy);

      const names = ['x-a', 'x-b'];
      const headers = Object.fromEntries(
        names.flatMap((name) => {
          const value = joined(sent.fields, name);
          return value === undefined ? [] : [[name, value] as const];
        }),
      );
      const outcome = judgeRequests(written);
      if (outcome.verdict !== 'http') throw new Error(outcome.verdict);
      const asked = { method, path, host: 'h', headers };
      expect(reason === undefined).toBe(outcome.passes(asked));
      seen[reason === undefined ? 'passed' : 'refused']++;
      if (reason !== undefined) return expect(rewrittenHead).toBeUndefined();

      const after = rewrittenHead === undefined ? sent : parse(rewrittenHead.toString('latin1'));
      const others = (all: readonly HeaderField[]): HeaderField[] => all.filter(({ name }) => !names.includes(name));
      const text = ({ name, value }: HeaderField): string => `${name}: ${value}`;
      expect(others(after.fields).map(text)).toEqual(others(sent.fields).map(text));
      expect([after.head.fields.contentLength, after.head.fields.chunked]).toEqual([3, false]);
      for (const name of names) {
        const repairs = outcome.repairs(asked).filter((repair) => repair.split(' ')[1] === `${name}:`);
        if (repairs.length > 1) continue;
        const wanted = repairs[0] === undefined ? headers[name] : repaired(repairs[0], headers[name]);
        expect([name, joined(after.fields, name)]).toEqual([name, wanted]);
        if (wanted !== headers[name]) seen.repaired++;
      }
    };
    const rules = fc.array(arbitraryHttpRule, { minLength: 1, maxLength: 3 });
    await fc.assert(fc.asyncProperty(rules, arbitraryRequest, judging), replay.runs(2_000));
    expect(Math.min(seen.passed, seen.refused, seen.repaired)).toBeGreaterThan(20);
  }, 60_000);
});
