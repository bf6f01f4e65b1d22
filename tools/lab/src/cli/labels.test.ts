// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { LabelChanges } from '../lab/lab-pods.ts';
import { parseLabelChange, parseLabels } from './labels.ts';

describe('parseLabels()', () => {
  it('reads pairs, with empty values and values that contain "="', () => {
    expect(parseLabels('org=empire,class=,x=a=b')).toEqual({ org: 'empire', class: '', x: 'a=b' });
  });

  it('adds to labels that were given before', () => {
    expect(parseLabels('b=2', { a: '1' })).toEqual({ a: '1', b: '2' });
  });

  it.each(['org', '=empire', 'a=b,c'])('refuses "%s"', (text) => {
    expect(() => parseLabels(text)).toThrow('expected KEY=VALUE');
  });
});

describe('parseLabelChange()', () => {
  const parse = (texts: readonly string[]): LabelChanges =>
    texts.reduce<LabelChanges>((previous, text) => parseLabelChange(text, previous), {});

  it('tells what is set from what is removed', () => {
    expect(parse(['role=admin', 'app-', 'x=y-', 'my-key-'])).toEqual({
      set: { role: 'admin', x: 'y-' },
      remove: ['app', 'my-key'],
    });
  });

  it.each(['app', '-', '=x'])('refuses "%s"', (text) => {
    expect(() => parseLabelChange(text)).toThrow('expected KEY=VALUE or KEY-');
  });
});
