// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { glob } from 'node:fs/promises';
import { run } from './command.ts';

/** What runs the tests; what they import is among the dependencies of the tree. */
const testPackages = ['jest', '@jest/globals', '@swc/core', '@swc/jest', 'fast-check'];

const busyboxCommands = ['cat', 'env', 'insmod', 'mkdir', 'mount', 'poweroff', 'sh', 'uname'];

/** What is copied of the tree: sources, the built addon and the built programs. */
const treePatterns = [
  'libs/**/*.ts',
  'libs/**/package.json',
  'libs/bpf-loader-node/build/bpf-loader.node',
  'dist/bpf/*.bpf.o',
  'package.json',
  'jest.config.js',
  'test/kernel-matrix/src/guest/*',
];

interface GuestPlace {
  /** The repository. */
  readonly source: string;
  /** The root directory of the guest. */
  readonly root: string;
}

/** Where the tree is in the guest. */
export const guestTree = '/weir';

async function copyFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(await realpath(from), to);
}

/** Copies a program or library of this machine to the same place in the guest, with all libraries that it is linked to. */
async function copyLinked(
  file: string,
  { root, as = file }: { readonly root: string; readonly as?: string },
): Promise<void> {
  await copyFile(file, join(root, as));
  for (const [library] of (await run('ldd', [file])).matchAll(/\/\S+/g)) {
    if (!existsSync(join(root, library))) await copyFile(library, join(root, library));
  }
}

/** The directories of packages and of all that they depend on, as Node.js finds them from there. */
export function packageClosure(names: readonly string[], from: string): readonly string[] {
  const found = new Set<string>();
  const visit = (name: string, parent: string): void => {
    const paths = createRequire(join(parent, 'package.json')).resolve.paths(name) ?? [];
    const directory = paths.map((path) => join(path, name)).find((path) => existsSync(join(path, 'package.json')));
    // What is not there is optional: the binary of another machine.
    if (directory === undefined || found.has(directory)) return;
    found.add(directory);
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(directory, 'package.json'), 'utf8'),
    ) as {
      dependencies?: Record<string, string>;
      optionalDependencies?: Record<string, string>;
    };
    for (const each of Object.keys({ ...dependencies, ...optionalDependencies })) visit(each, directory);
  };
  for (const name of names) visit(name, from);
  return [...found];
}

async function copyPackages({ source, root }: GuestPlace): Promise<void> {
  const { dependencies } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const directory of packageClosure([...testPackages, ...Object.keys(dependencies)], source)) {
    const to = join(root, guestTree, relative(source, directory));
    await cp(directory, to, { recursive: true, verbatimSymlinks: true });
    for await (const addon of glob('**/*.node', { cwd: directory })) {
      const inTree = join(guestTree, relative(source, directory), addon);
      await copyLinked(join(directory, addon), { root, as: inTree });
    }
  }
  // Our own libraries are links into the tree.
  const own = join(root, guestTree, 'node_modules', '@weir');
  await mkdir(own, { recursive: true });
  for (const name of await readdir(join(source, 'node_modules', '@weir'))) {
    const target = await realpath(join(source, 'node_modules', '@weir', name));
    await symlink(join(guestTree, relative(source, target)), join(own, name));
  }
}

async function copyTree({ source, root }: GuestPlace): Promise<void> {
  const exclude = (name: string): boolean => name === 'node_modules';
  for await (const path of glob(treePatterns, { cwd: source, exclude })) {
    await copyFile(join(source, path), join(root, guestTree, path));
  }
  const addon = 'libs/bpf-loader-node/build/bpf-loader.node';
  await copyLinked(join(source, addon), { root, as: join(guestTree, addon) });
}

/** Makes the root directory of a guest anew: the tree, what runs it, and a few commands. */
export async function collectGuestFiles({ source, root }: GuestPlace): Promise<void> {
  await rm(root, { recursive: true, force: true });
  for (const directory of ['bin', 'dev', 'proc', 'root', 'run', 'sys', 'tmp']) {
    await mkdir(join(root, directory), { recursive: true });
  }
  await copyLinked(await realpath(process.execPath), { root, as: '/usr/bin/node' });
  await copyLinked((await run('which', ['ip'])).trim(), { root, as: '/usr/bin/ip' });
  await copyLinked((await run('which', ['busybox'])).trim(), { root, as: '/bin/busybox' });
  for (const command of busyboxCommands) await symlink('busybox', join(root, 'bin', command));
  await copyTree({ source, root });
  await copyPackages({ source, root });
  await symlink(join(guestTree, 'test/kernel-matrix/src/guest/init'), join(root, 'init'));
}
