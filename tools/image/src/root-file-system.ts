// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const programs = '/opt/weir';
// For development: they make nodes out of a machine.
const leftOut = new Set(['lab.mjs', 'demo.mjs']);

/** The libraries that a program loads, as the loader of this machine finds them. */
function librariesOf(file: string): string[] {
  const said = execFileSync('ldd', [file], { encoding: 'utf8' });
  if (said.includes('not found')) throw new WeirError('FAILED_PRECONDITION', `"${file}" lacks libraries: ${said}`);
  return [...said.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path ?? '');
}

/** The Node.js that the build is pinned to. */
const nodeProgram = join(root, 'node_modules/node/bin/node');

/**
 * Writes all that a container of Weir's needs below `directory`, which must not exist: the programs, Node.js, and the shared libraries of
 * both; no shell, and no package manager. Fails with FAILED_PRECONDITION where nothing was built.
 */
export function writeRootFileSystem(directory: string): void {
  const dist = join(root, 'dist');
  const at = (path: string): string => join(directory, path);
  for (const path of [programs, '/etc', '/tmp', '/run', '/proc', '/sys', '/dev', '/var/lib']) {
    mkdirSync(at(path), { recursive: true });
  }
  chmodSync(at('/tmp'), 0o1777);
  const built = readdirSync(dist).filter((name) => name.endsWith('.mjs') && !leftOut.has(name));
  if (!built.includes('agent.mjs')) throw new WeirError('FAILED_PRECONDITION', `"${dist}" has no programs: make build`);
  for (const name of [...built, 'bpf-loader.node', 'weir-cni'])
    copyFileSync(join(dist, name), at(join(programs, name)));
  cpSync(join(dist, 'bpf'), at(join(programs, 'bpf')), { recursive: true });
  copyFileSync(nodeProgram, at(join(programs, 'node')));
  for (const library of new Set([nodeProgram, join(dist, 'bpf-loader.node')].flatMap(librariesOf))) {
    mkdirSync(dirname(at(library)), { recursive: true });
    copyFileSync(library, at(library));
  }
  writeFileSync(at('/etc/passwd'), 'root:x:0:0:root:/:/nologin\nnonroot:x:65532:65532:nonroot:/:/nologin\n');
  writeFileSync(at('/etc/group'), 'root:x:0:\nnonroot:x:65532:\n');
  writeFileSync(at('/etc/nsswitch.conf'), 'hosts: files dns\n');
}
