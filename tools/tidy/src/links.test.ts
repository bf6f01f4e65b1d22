// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { anchorOf, brokenLinks } from './links.ts';
import { sourceFiles } from './source-tree.ts';

describe('brokenLinks()', () => {
  const tree = new Map([
    ['docs/a.md', '# One\n## The `weir` command: flags\n'],
    ['README.md', ''],
    ['examples/x.yaml', ''],
  ]);
  const check = (text: string): string[] => brokenLinks({ path: 'docs/b.md', text }, tree);

  it('accepts files, folders, headings and other sites', () => {
    expect(
      check('[a](a.md) [b](../README.md) [c](../examples/) [d](a.md#the-weir-command-flags) [e](https://x.y)'),
    ).toEqual([]);
  });

  it('finds what leads nowhere', () => {
    expect(check('[a](c.md)')).toEqual(['docs/b.md: "c.md" leads to no file']);
    expect(check('[a](a.md#two)')).toEqual(['docs/b.md: "a.md#two" has no such heading']);
    expect(check('```\n[a](c.md)\n```\n`[a](c.md)`')).toEqual([]);
  });

  it('holds in every document', () => {
    const files = sourceFiles();
    const all = new Map(files.map(({ path, text }) => [path, text]));
    expect(files.filter(({ path }) => path.endsWith('.md')).flatMap((file) => brokenLinks(file, all))).toEqual([]);
  });
});

describe('the index of each folder of docs/', () => {
  const files = sourceFiles();
  const pages = files.filter(({ path }) => /^docs\/[a-z-]+\/.*\.md$/.test(path));
  const indexes = pages.filter(({ path }) => path.endsWith('/README.md'));

  it.each(indexes)('$path leads to every page', ({ path, text }) => {
    const folder = path.replace('README.md', '');
    const names = pages.map((page) => page.path).filter((page) => page.startsWith(folder) && page !== path);
    expect(names.filter((page) => !text.includes(`](${page.slice(folder.length)})`))).toEqual([]);
  });
});

describe('anchorOf()', () => {
  it('is what GitHub makes of a heading', () => {
    expect(anchorOf('CNI: ADD & DEL (1.1.0)')).toBe('cni-add--del-110');
  });
});
