// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, rmdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { mountBpffs, unpin } from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';

const bpffsMagic = 0xcafe4a11;

/** Where things are pinned below the node's BPF directory. */
export interface Pins {
  map(name: string): string;
  /** Programs of one build and configuration share a directory. */
  program(build: string, name: string): string;
  link(name: string): string;
  linkNames(): readonly string[];
  /** Builds that programs are pinned of. */
  builds(): readonly string[];
  removeBuild(build: string): void;
}

const list = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};

/** Makes the directories; mounts a BPF file system on the parent of `root` where there is none. */
export function createPins(root: string): Pins {
  const maps = join(root, 'maps');
  const programs = join(root, 'programs');
  const links = join(root, 'links');
  const parent = join(root, '..');
  mkdirSync(parent, { recursive: true });
  if (statfsSync(parent).type !== bpffsMagic) {
    try {
      mountBpffs(parent);
    } catch (cause) {
      throw new WeirError('FAILED_PRECONDITION', `No BPF file system is mounted at "${parent}", nor can one be`, {
        cause,
      });
    }
  }
  for (const directory of [root, maps, programs, links]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  return {
    map: (name) => join(maps, name),
    program(build, name) {
      mkdirSync(join(programs, build), { recursive: true });
      return join(programs, build, name);
    },
    link: (name) => join(links, name),
    linkNames: () => list(links),
    builds: () => list(programs),
    removeBuild(build) {
      for (const name of list(join(programs, build))) unpin(join(programs, build, name));
      rmdirSync(join(programs, build));
    },
  };
}
