// SPDX-License-Identifier: Apache-2.0
// The package as another project uses it: installed from its file, with nothing of this workspace in reach.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeAsRoot, sampleSpec } from '../testing/sample.ts';

const library = join(import.meta.dirname, '..');
const modules = join(library, '..', '..', 'node_modules');

describeAsRoot('the package', () => {
  let project: string;
  const run = (command: string, ...args: readonly string[]): string =>
    execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'weir-package-'));
    sampleSpec(); // Also compiles the objects of the examples.
    copyFileSync(join(library, 'build', 'testing', 'count-packets.bpf.o'), join(project, 'count-packets.bpf.o'));
    const example = readFileSync(join(library, 'examples', 'count-packets.ts'), 'utf8')
      .replace("'../src/index.ts'", "'@weir/bpf-loader-node'")
      .replace("'../build/testing/count-packets.bpf.o'", "'count-packets.bpf.o'");
    writeFileSync(join(project, 'count.mts'), example);
    writeFileSync(join(project, 'package.json'), '{}');
    run(process.execPath, join(library, 'packaging', 'write-package.ts'), join(project, 'package'));
    const npm = ['--silent', '--offline', '--no-audit', '--cache', join(project, 'cache')];
    const tarball = run('npm', 'pack', './package', ...npm).trim();
    run('npm', 'install', `./${tarball}`, ...npm);
    rmSync(join(project, 'package'), { recursive: true });
  });
  afterAll(() => {
    rmSync(project, { recursive: true });
  });

  it('attaches, counts and detaches', () => {
    expect(run(process.execPath, 'count.mts', 'lo', '0')).toMatch(
      /^Attached to lo by \w+\n.*0 long packets in all\n$/s,
    );
  });

  it('throws errors that its users can tell apart', () => {
    const missing = `
      import { openObject, WeirError } from '@weir/bpf-loader-node';
      try { openObject({ path: 'missing.o' }); } catch (error) { console.log(error instanceof WeirError, error.code); }`;
    expect(run(process.execPath, '--input-type=module', '--eval', missing)).toBe('true NOT_FOUND\n');
  });

  it('has types that hold with every check of the compiler', () => {
    const types = ['--types', 'node', '--typeRoots', join(modules, '@types')];
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--noEmit'];
    const language = ['--module', 'nodenext', '--target', 'esnext'];
    expect(run(join(modules, '.bin', 'tsc'), ...strict, ...language, ...types, 'count.mts')).toBe('');
  });
});
