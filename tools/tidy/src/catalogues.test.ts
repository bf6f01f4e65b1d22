// SPDX-License-Identifier: Apache-2.0
// Pages that repeat what code says, and must say the same.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { dropReason, dropReasonNames, dropReasonTexts } from '@weir/datapath-layout';
import { errorCatalogue } from '@weir/errors';
import { root } from './source-tree.ts';

const page = (path: string): string => readFileSync(`${root}docs/${path}`, 'utf8');

describe('docs/errors.md', () => {
  const sections = page('errors.md')
    .split(/^## /m)
    .slice(1)
    .map((section) => section.split('\n').map((line) => line.trim()));

  it('has every code of the catalogue, in its order, and no other', () => {
    expect(sections.map(([heading]) => heading)).toEqual(Object.keys(errorCatalogue).map((code) => `\`${code}\``));
  });

  it.each(Object.entries(errorCatalogue))('says of %s what the catalogue says, and what to do', (code, sentence) => {
    const text = sections.find(([heading]) => heading === `\`${code}\``)?.join(' ');
    expect(text).toContain(`${sentence}.`);
    expect(text).toMatch(/\*\*What to do:\*\* \S/);
  });
});

describe('docs/reference/drop-reasons.md', () => {
  it('lists every reason with number, name and text, in order', () => {
    const rows = [...page('reference/drop-reasons.md').matchAll(/^\| (\d+) +\| `(\w+)` +\| (.*?) +\|/gm)];
    const expected = Object.values(dropReason)
      .filter((number) => number >= 130)
      .map((number) => [String(number), dropReasonNames[number], dropReasonTexts[number]]);
    expect(rows.map((row) => row.slice(1))).toEqual(expected);
  });
});
