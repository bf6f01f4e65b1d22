// SPDX-License-Identifier: Apache-2.0
// What the kernel tests of this library share: the compiled objects, and places that clean up after themselves.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from '@jest/globals';
import { loadObject, mountBpffs, openObject, unmountBpffs } from '../src/index.ts';
import type { BpfObject, LoadOptions, ObjectSpec } from '../src/index.ts';

const packageDir = join(import.meta.dirname, '..');

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('Kernel tests of bpf-loader-node are skipped: they need root\n');

/** A `describe` for what needs root; elsewhere it is skipped, and the reason printed. */
export const describeAsRoot = isRoot ? describe : describe.skip;

/** Compiles the test objects if their sources are newer, and reads one. */
export function sampleSpec(name: 'sample' | 'rejected' = 'sample', kconfig?: string): ObjectSpec {
  execFileSync('make', ['--silent', 'test-objects'], { cwd: packageDir, stdio: ['ignore', 'ignore', 'inherit'] });
  const path = join(packageDir, 'build', 'testing', `${name}.bpf.o`);
  return openObject(kconfig === undefined ? { path } : { path, kconfig });
}

/** Loads the sample; the caller closes it. */
export function loadSample(options?: LoadOptions): BpfObject {
  return loadObject(sampleSpec(), options);
}

/** A BPF file system for the tests of one file, made before them and gone with everything in it afterwards. */
export function temporaryBpffs(): { path(name: string): string } {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-bpf-loader-'));
    mountBpffs(directory);
  });
  afterAll(() => {
    unmountBpffs(directory);
    rmdirSync(directory);
  });
  return { path: (name) => join(directory, name) };
}

/** Little-endian bytes of 32-bit numbers. */
export function u32(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint32Array(values).buffer);
}

/** Little-endian bytes of 64-bit numbers. */
export function u64(...values: bigint[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new BigUint64Array(values).buffer);
}

/** A packet long enough for any test run. */
export function emptyPacket(length = 64): Uint8Array {
  return new Uint8Array(length);
}
