// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { filesMatching, root } from './source-tree.ts';

interface Package {
  readonly name: string;
  readonly description?: string;
  readonly license?: string;
  readonly type?: string;
  readonly nx?: { readonly tags?: readonly string[] };
}

const packages = filesMatching(/^(apps|libs|tools|test|bench)\/(.*\/)?package\.json$/).map(({ path, text }) => ({
  folder: path.replace(/\/package\.json$/, ''),
  manifest: JSON.parse(text) as Package,
}));
const boundaries = (await import(`${root}eslint.boundaries.js`)) as { depConstraints: { sourceTag: string }[] };
const known = new Set(boundaries.depConstraints.map(({ sourceTag }) => sourceTag));

describe.each(packages)('$folder', ({ folder, manifest }) => {
  it('is named after its folder', () => {
    const name = folder
      .replace(/^(apps|libs|tools)\//, '')
      .replace(/^test\/(.*)/, '$1-tests')
      .replaceAll('/', '-');
    expect(manifest.name).toBe(`@weir/${name}`);
  });

  it('carries one tag of each dimension, all of them known to the boundaries', () => {
    const tags = manifest.nx?.tags ?? [];
    expect(tags.map((tag) => tag.split(':')[0])).toEqual(['scope', 'layer', 'runtime']);
    expect(tags.filter((tag) => !known.has(tag))).toEqual([]);
  });

  it('says what it is, its licence, and that it is ESM', () => {
    expect(manifest).toMatchObject({ description: expect.any(String), license: 'Apache-2.0', type: 'module' });
  });
});
