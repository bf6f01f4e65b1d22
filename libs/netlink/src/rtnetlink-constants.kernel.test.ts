// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as constants from './rtnetlink-constants.ts';

const headers = [
  'sys/socket',
  'linux/if',
  'linux/rtnetlink',
  'linux/if_link',
  'linux/if_addr',
  'linux/fib_rules',
  'linux/veth',
];

/** The value of each C expression, by asking the compiler. */
function evaluate(names: readonly string[]): number[] {
  const directory = mkdtempSync(`${tmpdir()}/weir-constants-`);
  try {
    const source = [
      '#include <stdio.h>',
      ...headers.map((header) => `#include <${header}.h>`),
      '#include <linux/neighbour.h>',
      'int main(void) {',
      ...names.map((name) => `printf("%ld\\n", (long)(${name}));`),
      '}',
    ].join('\n');
    writeFileSync(`${directory}/constants.c`, source);
    execFileSync('gcc', ['-o', `${directory}/constants`, `${directory}/constants.c`]);
    return execFileSync(`${directory}/constants`, { encoding: 'utf8' }).trim().split('\n').map(Number);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe('the constants of rtnetlink', () => {
  it("are those of the kernel's headers", () => {
    const ours = Object.entries(constants).flatMap(([prefix, value]): [name: string, value: number][] =>
      typeof value === 'number'
        ? [[prefix, value]]
        : Object.entries(value).map(([name, number]) => [`${prefix}_${name}`, number]),
    );
    const values = evaluate(ours.map(([name]) => name));
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(ours.map(([name], i) => [name, values[i]])));
    expect(ours.length).toBeGreaterThan(100);
  });
});
