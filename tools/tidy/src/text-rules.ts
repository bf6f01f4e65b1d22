// SPDX-License-Identifier: Apache-2.0
import type { SourceFile } from './source-tree.ts';

/** A rule looks at one file and says what is wrong, one sentence a finding. */
export type Rule = (file: SourceFile) => string[];

function linesWhere(file: SourceFile, { pattern, problem }: { pattern: RegExp; problem: string }): string[] {
  const lines = file.text.split('\n');
  return lines.flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1}: ${problem}`] : []));
}

const spdx = 'SPDX-License-Identifier:';

/** The licence stands in one of the first two lines; what is loaded into the kernel has the kernel's. */
export const namesItsLicence: Rule = ({ path, text }) => {
  const [first = '', second = ''] = text.split('\n');
  const isLoadedIntoKernel = path.startsWith('bpf/') || path.endsWith('.bpf.c');
  const expected = isLoadedIntoKernel ? 'GPL-2.0-only OR BSD-2-Clause' : 'Apache-2.0';
  const line = first.includes(spdx) ? first : second;
  return line.includes(`${spdx} ${expected}`) ? [] : [`${path}: expected "${spdx} ${expected}" at the top`];
};

/** What must be fixed is fixed before it reaches main, and what is to be done says by whom or where. */
export const leavesNothingUnfinished: Rule = (file) => [
  ...linesWhere(file, { pattern: /\bFIXM[E]\b/, problem: 'fix it before it reaches main' }),
  ...linesWhere(file, { pattern: /\bTOD[O]\b(?!\([^)]+\))/, problem: 'say whose or where in parentheses' }),
];

/** Packages come from whatever registry the user has set up. */
export const namesNoRegistry: Rule = (file) =>
  linesWhere(file, {
    pattern: /\/\/[\w.-]*(?:registry|npmjs|debian|ubuntu|pypi)[\w-]*\.[\w.-]+/i,
    problem: 'name packages, not the host of a registry',
  });

const fileLinesMax = 500;
const functionLinesMax = 100;

/** Limits of a C file and of each function in it. Relies on clang-format: a body's braces stand in the first column. */
export const keepsCShort: Rule = ({ path, text }) => {
  const lines = text.trimEnd().split('\n');
  const problems: string[] = [];
  if (lines.length > fileLinesMax) problems.push(`${path}: ${lines.length} lines, expected at most ${fileLinesMax}`);
  let start = -1;
  for (const [index, line] of lines.entries()) {
    if (line === '{') start = index;
    if (line !== '}' || start === -1) continue;
    const length = index - start + 1;
    if (length > functionLinesMax) {
      problems.push(`${path}:${start}: a function of ${length} lines, expected at most ${functionLinesMax}`);
    }
    start = -1;
  }
  return problems;
};
