// SPDX-License-Identifier: Apache-2.0
// The scanner decides what is JSON for the plugin, JSON.parse decides it for the agent: they must agree on every input.
import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { buildPrograms, probe } from '../testing/plugin.ts';

const names = ['cniVersion', 'schön', ''] as const;
const typeNumber = { null: 1, boolean: 2, number: 3, string: 4, array: 5, object: 6 };

function describeMember(value: unknown): unknown {
  if (value === undefined) return [0];
  if (value === null) return [typeNumber.null];
  if (typeof value === 'string') {
    const text = value.toWellFormed();
    return Buffer.byteLength(text) < 128 && !text.includes('\0') ? text : [typeNumber.string];
  }
  if (typeof value === 'boolean') return [typeNumber.boolean];
  if (typeof value === 'number') return typeNumber.number;
  return [Array.isArray(value) ? typeNumber.array : typeNumber.object];
}

/** What the probe must print for a text, by the book of JSON.parse; `undefined`: not an object. */
function expectation(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
    return names.map((name) =>
      describeMember(Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined),
    );
  } catch {
    return undefined;
  }
}

function disagreements(texts: readonly string[]): unknown[] {
  const answers = probe(
    'json',
    texts.map((text) => Buffer.from(text)),
  ) as { members?: unknown[] }[];
  expect(answers).toHaveLength(texts.length);
  return texts.flatMap((text, i) => {
    const expected = expectation(text);
    // A number is printed as it is written or as its type, which is not what this comparison is about.
    const actual = answers[i]?.members?.map((member) =>
      typeof member === 'number' || (Array.isArray(member) && member[0] === typeNumber.number)
        ? typeNumber.number
        : member,
    );
    return JSON.stringify(actual) === JSON.stringify(expected) ? [] : [{ text, expected, actual }];
  });
}

beforeAll(buildPrograms, 120_000);

describe('json_scan_object()', () => {
  it('agrees with JSON.parse on hand-picked texts', () => {
    const numbers = [
      '0',
      '-0',
      '1.5',
      '1e5',
      '1E+5',
      '-1.25e-3',
      '01',
      '1.',
      '.5',
      '+1',
      '-',
      '1e',
      '1e+',
      '0x1',
      '1_0',
    ];
    const strings = [
      '""',
      '"a',
      '"\\u00e9"',
      '"\\ud83d\\ude00"',
      '"\\ud83d"',
      '"\\ude00x"',
      '"\\u12"',
      '"\\x"',
      '"\t"',
      '"\x1f"',
      '"\x7f"',
    ];
    const values = [
      ...numbers,
      ...strings,
      '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
      'true',
      'tru',
      'nulll',
      'NaN',
      "'a'",
      '[1,]',
      '[,1]',
    ];
    const objects = [
      '{}',
      ' { } ',
      '{"a":1,}',
      '{,}',
      '{"a"}',
      '{"a":}',
      '{a:1}',
      '{"a":1 "b":2}',
      '{} {}',
      '[]',
      '1',
      '',
      ' ',
    ];
    const repeated = [
      '{"cniVersion":"a","cniVersion":"b"}',
      '{"c\\u006eiVersion":"escaped"}',
      '{"cniVersion":null,"":[]}',
    ];
    const texts = [...values.map((value) => `{"cniVersion":${value}}`), ...objects, ...repeated, '\ufeff{}', '{}\0'];
    expect(disagreements(texts)).toEqual([]);
  });

  it('agrees with JSON.parse on random documents and on damaged ones', () => {
    const key = fc.oneof(fc.constantFrom(...names), fc.string({ unit: 'binary', maxLength: 8 }));
    const document = fc.dictionary(key, fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }), { maxKeys: 6 });
    const damage = fc.record({
      document,
      spacing: fc.constantFrom(0, 1, '\t'),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      replaced: fc.nat(3),
      inserted: fc.oneof(
        fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', '0', 'e', '-', '\\u', 'null', '\n'),
        fc.string(),
      ),
      whole: fc.boolean(),
    });
    const texts = fc.sample(damage, { numRuns: 20_000, seed: 20_251_123 }).map((sample) => {
      const text = JSON.stringify(sample.document, null, sample.spacing);
      if (sample.whole) return text;
      const at = Math.floor(sample.at * text.length);
      return (text.slice(0, at) + sample.inserted + text.slice(at + sample.replaced)).toWellFormed();
    });
    expect(disagreements(texts).slice(0, 3)).toEqual([]);
  });

  it('agrees with a strict decoder on what is UTF-8', () => {
    const frames = fc
      .sample(fc.uint8Array({ minLength: 1, maxLength: 5 }), { numRuns: 5_000, seed: 7 })
      .map((bytes) => Buffer.concat([Buffer.from('{"cniVersion":"'), bytes.map((b) => b | 0x80), Buffer.from('"}')]));
    const valid = [0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff].map((code) =>
      Buffer.from(`{"cniVersion":"${String.fromCodePoint(code)}"}`),
    );
    const all = [...frames, ...valid];
    const answers = probe('json', all) as { members?: unknown[] }[];
    const wrong = all.filter((frame, i) => isUtf8(frame) !== (answers[i]?.members !== undefined));
    expect(wrong).toEqual([]);
  });

  it('refuses nesting beyond 200 levels and says where', () => {
    const nested = (levels: number): Buffer => Buffer.from(`{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`);
    const [accepted, refused] = probe('json', [nested(200), nested(201)]);
    expect(accepted).toHaveProperty('members');
    expect(refused).toEqual({ problem: '1:205: ', expected: 'at most 200 levels of nesting' });
  });

  it('tells line and column of the first problem', () => {
    const [answer] = probe('json', [Buffer.from('{\n  "a": 1,\n  "b": tru\n}')]);
    expect(answer).toEqual({ problem: '3:8: ', expected: 'a JSON value' });
  });
});
