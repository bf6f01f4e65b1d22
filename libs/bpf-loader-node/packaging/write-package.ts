// SPDX-License-Identifier: Apache-2.0
// node write-package.ts [DIRECTORY]: this library as other projects install it, JavaScript with types and the addon of this
// machine. `@weir/errors`, which is not published, goes inside as a bundled dependency: imports stay as they are.
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const library = join(import.meta.dirname, '..');
const root = join(library, '..', '..');
const compiled = join(library, 'build', 'compiled');
const target = resolve(process.argv[2] ?? join(library, 'build', 'package'));
const errors = join(target, 'node_modules', '@weir', 'errors');

type Manifest = Record<'name' | 'version' | 'description' | 'license', string | undefined>;

/** Writes the part of a library that is published: `dist/` and a manifest without what only this workspace understands. */
function publish(name: string, directory: string, extra: object = {}): void {
  cpSync(join(compiled, name, 'src'), join(directory, 'dist'), { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, 'libs', name, 'package.json'), 'utf8')) as Manifest;
  const { version, description, license } = manifest;
  const exports = { '.': { types: './dist/index.d.ts', default: './dist/index.js' } };
  const published = { name: manifest.name, version, description, license, type: 'module', exports, ...extra };
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
}

for (const directory of [compiled, target]) rmSync(directory, { recursive: true, force: true });
execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(import.meta.dirname, 'tsconfig.json')], {
  stdio: 'inherit',
});
publish('errors', errors);
publish('bpf-loader-node', target, {
  ...{ os: ['linux'], cpu: [process.arch], libc: ['glibc'], engines: { node: '>=22' } },
  ...{ peerDependencies: { '@types/node': '>=22' }, peerDependenciesMeta: { '@types/node': { optional: true } } },
  ...{ files: ['dist'], bundleDependencies: ['@weir/errors'], dependencies: { '@weir/errors': '*' } },
});
cpSync(join(library, 'build', 'bpf-loader.node'), join(target, 'dist', 'bpf-loader.node'));
cpSync(join(library, 'README.md'), join(target, 'README.md'));
cpSync(join(root, 'LICENSE'), join(target, 'LICENSE'));
process.stdout.write(`  PACKAGE  ${target}\n`);
