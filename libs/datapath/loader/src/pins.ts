// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, rmdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { mountBpffs, unpin } from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';

const bpffsMagic = 0xcafe4a11;
const usualPlace = '/sys/fs/bpf';

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

const isBpffs = (path: string): boolean => existsSync(path) && statfsSync(path).type === bpffsMagic;

/** A root below the usual place gets the usual mount; any other root becomes a mount of its own. */
function ensureBpffs(root: string): void {
  if (isBpffs(root) || isBpffs(dirname(root))) return;
  const place = dirname(root) === usualPlace ? usualPlace : root;
  try {
    mkdirSync(place, { recursive: true });
    mountBpffs(place);
  } catch (cause) {
    throw new WeirError('FAILED_PRECONDITION', `No BPF file system is mounted at "${place}", nor can one be`, {
      cause,
    });
  }
}

/** Makes the directories, and mounts a BPF file system where there is none. */
export function createPins(root: string): Pins {
  const maps = join(root, 'maps');
  const programs = join(root, 'programs');
  const links = join(root, 'links');
  ensureBpffs(root);
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
