// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { sourceFiles, type SourceFile } from './source-tree.ts';
import { keepsCShort, leavesNothingUnfinished, namesItsLicence, namesNoRegistry, type Rule } from './text-rules.ts';

const code = /\.(ts|js|c|h)$|(^|\/)Makefile$/;
const text = /\.(ts|js|c|h|md|ya?ml|json|proto|sh)$|(^|\/)Makefile$|^\.ci\//;

const findings = (rule: Rule, which: RegExp): string[] => {
  return sourceFiles()
    .filter(({ path }) => which.test(path))
    .flatMap(rule);
};
const file = (content: string, path = 'libs/x/src/x.ts'): SourceFile => ({ path, text: content });

describe('namesItsLicence()', () => {
  it('wants Apache-2.0, and the dual licence in bpf/', () => {
    const apache = '// SPDX-License-Identifier: Apache-2.0\n';
    expect(namesItsLicence(file(apache))).toEqual([]);
    expect(namesItsLicence(file(`#!/usr/bin/env node\n${apache}`))).toEqual([]);
    expect(namesItsLicence(file('import x;'))).toHaveLength(1);
    expect(namesItsLicence(file(apache, 'bpf/lib/x.h'))).toHaveLength(1);
  });

  it('holds in every source file', () => {
    expect(findings(namesItsLicence, code)).toEqual([]);
  });
});

describe('leavesNothingUnfinished()', () => {
  it('finds marks without an owner', () => {
    const mark = ['TO', 'DO'].join('');
    expect(leavesNothingUnfinished(file(`// ${mark}: later\n// ${mark}(anna): this\n`))).toHaveLength(1);
    expect(leavesNothingUnfinished(file(`// ${['FIX', 'ME'].join('')}`))).toHaveLength(1);
  });

  it('holds everywhere', () => {
    expect(findings(leavesNothingUnfinished, text)).toEqual([]);
  });
});

describe('namesNoRegistry()', () => {
  it('finds the address of a registry, and no other address', () => {
    expect(namesNoRegistry(file(`get https:${'//'}registry.example.org/x`))).toHaveLength(1);
    expect(namesNoRegistry(file(`see https:${'//'}docs.kernel.org/bpf`))).toEqual([]);
  });

  it('holds everywhere', () => {
    expect(findings(namesNoRegistry, text)).toEqual([]);
  });
});

describe('keepsCShort()', () => {
  it('finds long files and long functions, and says where', () => {
    const body = (lines: number): string => `int f(void)\n{\n${'\tx();\n'.repeat(lines - 2)}}\n`;
    expect(keepsCShort(file(body(100), 'x.c'))).toEqual([]);
    expect(keepsCShort(file(body(101), 'x.c'))).toEqual(['x.c:1: a function of 101 lines, expected at most 100']);
    expect(keepsCShort(file('int x;\n'.repeat(501), 'x.c'))).toEqual(['x.c: 501 lines, expected at most 500']);
  });

  it('holds in every C file', () => {
    expect(findings(keepsCShort, /\.[ch]$/)).toEqual([]);
  });
});
