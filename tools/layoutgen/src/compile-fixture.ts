// SPDX-License-Identifier: Apache-2.0
// For tests: C source → BPF object, with the compiler and the flags of the real build.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The fixture that has one of everything. */
export const fixture = readFileSync(new URL('../fixtures/layout.c', import.meta.url), 'utf8');

/** Calls `use` with the path of the object; it is gone afterwards. */
export function withObject<T>(source: string, use: (path: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'weir-layoutgen-'));
  try {
    const object = join(directory, 'layout.o');
    const flags = ['-target', 'bpf', '-g', '-O2', '-mcpu=v3', '-x', 'c', '-c', '-', '-o', object];
    execFileSync('clang', flags, { input: source, stdio: ['pipe', 'ignore', 'pipe'] });
    return use(object);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The bytes of the object. */
export function compile(source: string): Buffer {
  return withObject(source, (path) => readFileSync(path));
}
