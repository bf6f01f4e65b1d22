// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { cp, glob, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WeirError } from '@weir/errors';
import { run } from './command.ts';
import { kernelPackage, modules, type MatrixKernel } from './kernels.ts';

/** A kernel and its modules as files. */
export interface KernelImage {
  /** As `uname -r` gives it. */
  readonly release: string;
  readonly path: string;
  /** Uncompressed, in the order in which they can be loaded. */
  readonly modules: readonly string[];
}

/** Where this machine gets its packages from; other releases are in the same place. */
async function archiveUri(): Promise<string> {
  const uris = (await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'])).split('\n');
  const uri = uris.find((each) => each.endsWith('/debian/'));
  if (uri !== undefined) return uri;
  throw new WeirError('NOT_SUPPORTED', 'No Debian archive is configured on this machine: apt knows none');
}

/** Options that make apt look at one release only, with lists of its own: the machine's own are left alone. */
async function aptOptions({ release }: MatrixKernel, directory: string): Promise<string[]> {
  const lists = join(directory, 'lists');
  const sources = join(directory, 'sources.list');
  await mkdir(join(lists, 'partial'), { recursive: true });
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  await writeFile(sources, `deb [signed-by=${keyring}] ${await archiveUri()} ${release} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': sources,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': lists,
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'APT::Sandbox::User': 'root',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

async function download(kernel: MatrixKernel, directory: string): Promise<string> {
  const options = await aptOptions(kernel, directory);
  await run('apt-get', [...options, '-qq', 'update']);
  const depends = await run('apt-cache', [...options, 'depends', kernelPackage]);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) {
    throw new WeirError('NOT_FOUND', `The package "${kernelPackage}" of ${kernel.release} names no kernel`);
  }
  await run('apt-get', [...options, '-qq', 'download', name], { cwd: directory });
  const packages = (await readdir(directory)).filter((file) => file.endsWith('.deb'));
  return join(directory, packages[0] ?? '');
}

async function unpackModules(tree: string, into: string): Promise<string[]> {
  await mkdir(into, { recursive: true });
  const found: string[] = [];
  for (const name of modules) {
    for await (const path of glob(`**/${name}.ko*`, { cwd: tree })) {
      const target = join(into, basename(path));
      await cp(join(tree, path), target);
      if (target.endsWith('.xz')) await run('xz', ['--decompress', '--force', target]);
      found.push(target.replace(/\.xz$/, ''));
    }
  }
  return found;
}

async function findImage(directory: string): Promise<KernelImage> {
  const boot = join(directory, 'tree', 'boot');
  const [image] = existsSync(boot) ? (await readdir(boot)).filter((file) => file.startsWith('vmlinuz-')) : [];
  if (image === undefined) throw new WeirError('NOT_FOUND', `No kernel is in the package unpacked at "${directory}"`);
  const names = modules.map((name) => join(directory, 'modules', `${name}.ko`));
  return {
    release: image.replace('vmlinuz-', ''),
    path: join(boot, image),
    modules: names.filter((name) => existsSync(name)),
  };
}

/**
 * Gets a kernel, from the archive that this machine's packages come from, and keeps it in `directory` for the next time.
 * Rejects when the archive cannot be reached or does not have it.
 */
export async function getKernelImage(kernel: MatrixKernel, directory: string): Promise<KernelImage> {
  const complete = join(directory, 'complete');
  if (!existsSync(complete)) {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    const tree = join(directory, 'tree');
    await run('dpkg-deb', ['--extract', await download(kernel, directory), tree]);
    await unpackModules(tree, join(directory, 'modules'));
    await writeFile(complete, '');
  }
  return findImage(directory);
}
