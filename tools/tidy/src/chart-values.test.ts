// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { chartFiles } from './chart-values.ts';
import { root } from './source-tree.ts';

describe('the chart', () => {
  it.each(chartFiles())('$path is what make generate writes', ({ path, content }) => {
    expect(readFileSync(root + path, 'utf8')).toBe(content);
  });
});
