// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { formatLabel, labelSources, parseLabel } from './label.ts';
import { createLabelSet, formatLabelSet, labelsPerSetMax, parseLabelSet } from './label-set.ts';

const text = fc.stringMatching(/^[^\s=;\p{Cc}]{1,12}$/u).filter((s) => s.isWellFormed());
const label = fc.record({
  source: fc.constantFrom(...labelSources.filter((source) => source !== 'any')),
  key: text,
  value: fc.option(text, { nil: '' }),
});

describe('parseLabel()', () => {
  it.each([
    ['k8s:app=web', { source: 'k8s', key: 'app', value: 'web' }],
    ['app=web', { source: 'unspec', key: 'app', value: 'web' }],
    ['reserved:host', { source: 'reserved', key: 'host', value: '' }],
    ['k8s:app=', { source: 'k8s', key: 'app', value: '' }],
    ['container:a:b=c=d:e', { source: 'container', key: 'a:b', value: 'c=d:e' }],
    ['url=http://x', { source: 'unspec', key: 'url', value: 'http://x' }],
  ])('reads %s', (input, expected) => {
    expect(parseLabel(input)).toEqual(expected);
  });

  it.each([
    ['', '"" is not a label key'],
    ['k8s:', '"" is not a label key'],
    ['=x', '"" is not a label key'],
    ['k8: app=x', '"k8" in "k8: app" is not a label source'],
    ['k8s:a b=c', '"a b" is not a label key'],
    ['k8s:a=x;reserved:host', '"x;reserved:host" is not a label value'],
    ['k8s:a=\u0000', 'is not a label value'],
    ['any:a=b', 'is for selectors only'],
    [`k8s:${'k'.repeat(513)}`, 'has 513 bytes; expected at most 512'],
    [`k8s:k=${'é'.repeat(513)}`, 'has 1026 bytes; expected at most 1024'],
  ])('refuses %j and names what is wrong', (input, message) => {
    expect(() => parseLabel(input)).toThrow(message);
  });

  it('reads back what formatLabel() writes', () => {
    fc.assert(fc.property(label, (given) => expect(parseLabel(formatLabel(given))).toEqual(given)));
  });
});

describe('createLabelSet()', () => {
  it('gives equal sets equal keys whatever the order of their labels', () => {
    const shuffled = fc
      .uniqueArray(label, { selector: (l) => `${l.source}:${l.key}` })
      .chain((labels) => fc.tuple(fc.constant(labels), fc.shuffledSubarray(labels, { minLength: labels.length })));
    fc.assert(fc.property(shuffled, ([given, other]) => expect(createLabelSet(other)).toEqual(createLabelSet(given))));
  });

  it('sorts by the bytes of the written labels, also where UTF-16 sorts otherwise', () => {
    fc.assert(
      fc.property(fc.uniqueArray(label, { selector: (l) => `${l.source}:${l.key}` }), (labels) => {
        const written = formatLabelSet(createLabelSet(labels));
        expect(written).toEqual([...written].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
      }),
    );
    expect(formatLabelSet(parseLabelSet(['k8s:\u{1f600}', 'k8s:\uff5e']))).toEqual(['k8s:\uff5e', 'k8s:\u{1f600}']);
  });

  it('counts the same label twice as one', () => {
    expect(parseLabelSet(['k8s:b=2', 'k8s:a=1', 'k8s:b=2']).key).toBe('k8s:a=1;k8s:b=2;');
  });

  it('keeps labels of two sources with one key apart', () => {
    expect(parseLabelSet(['k8s:a=1', 'container:a=2']).key).toBe('container:a=2;k8s:a=1;');
  });

  it('refuses two values for one source and key', () => {
    expect(() => parseLabelSet(['k8s:a=1', 'k8s:a=2'])).toThrow(
      'Label "k8s:a" has two values, "1" and "2"; expected one',
    );
  });

  it('refuses more labels than a set may have', () => {
    const labels = Array.from({ length: labelsPerSetMax + 1 }, (_, i) => `k8s:l${i}=x`);
    expect(() => parseLabelSet(labels)).toThrow('257 labels in one set; expected at most 256');
  });
});
