// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { customResourceFiles } from './custom-resource-files.ts';
import { root } from './source-tree.ts';

describe('charts/weir/crds', () => {
  it.each(customResourceFiles())('$path is what make generate writes', ({ path, content }) => {
    expect(readFileSync(root + path, 'utf8')).toBe(content);
  });
});
