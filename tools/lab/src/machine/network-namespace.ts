// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WeirError } from '@weir/errors';
import { requireCommand } from './run-command.ts';

/** Where `ip netns` keeps names. */
export const netnsDirectory = '/run/netns';

// NSFS_MAGIC of linux/magic.h.
const nsfsMagic = 0x6e736673;

/** The path under which a named network namespace can be entered. */
export const netnsPath = (name: string): string => join(netnsDirectory, name);

/**
 * Network namespaces that one owner has made. Each is written down before it exists, in a file of its own, so that none is
 * left behind by a crash, and none that somebody else made is ever removed.
 */
export interface NamespaceRegistry {
  /** Makes a namespace with its loopback up. ALREADY_EXISTS when the name is taken. */
  create(name: string): Promise<void>;
  /** Removes a namespace that this registry made; any other name is no error. */
  remove(name: string): Promise<void>;
  /** The names that were made and not removed. */
  list(): Promise<readonly string[]>;
}

/** Makes a registry that keeps its files in a directory. */
export function createNamespaceRegistry(directory: string): NamespaceRegistry {
  const file = (name: string): string => join(directory, name);
  let prepared: Promise<void> | undefined;
  return {
    async create(name) {
      await mkdir(directory, { recursive: true });
      await (prepared ??= prepareNetnsDirectory());
      if (await isNamespace(netnsPath(name))) {
        throw new WeirError('ALREADY_EXISTS', `Network namespace "${name}" exists, and was not made by this lab`);
      }
      await rm(netnsPath(name), { force: true });
      await writeFile(file(name), '');
      await writeFile(netnsPath(name), '', { flag: 'wx', mode: 0o444 });
      // One program makes the namespace, gives it its name and sets up the loopback.
      await requireCommand(['unshare', `--net=${netnsPath(name)}`, '--', 'ip', 'link', 'set', 'lo', 'up']);
      await writeFile(file(name), await identityOf(netnsPath(name)));
    },
    async remove(name) {
      if (!existsSync(file(name))) return;
      const recorded = await readFile(file(name), 'utf8');
      if (await isNamespace(netnsPath(name))) {
        // Nothing was recorded if the owner died just then; the name was free before, so what is there is ours.
        if (recorded === '' || recorded === (await identityOf(netnsPath(name)))) await removeNamed(name);
      } else {
        await rm(netnsPath(name), { force: true });
      }
      await rm(file(name), { force: true });
    },
    async list() {
      return existsSync(directory) ? await readdir(directory) : [];
    },
  };
}

/**
 * Tells a namespace from every other, also from one that comes after it: numbers of inodes are used again, but with
 * another time. As long as the name holds the namespace, both stay.
 */
async function identityOf(path: string): Promise<string> {
  const { ino, ctimeNs } = await stat(path, { bigint: true });
  return `${ino} ${ctimeNs}`;
}

/** Whether a name stands for a namespace; the file of one that was lost, as in a reboot, does not. */
async function isNamespace(path: string): Promise<boolean> {
  return existsSync(path) && (await statfs(path)).type === nsfsMagic;
}

// The very first namespace of a machine is made by `ip`, which prepares the directory so that mounts in it reach other
// mount namespaces.
async function prepareNetnsDirectory(): Promise<void> {
  if (existsSync(netnsDirectory)) return;
  const name = `weir-lab-${process.pid}`;
  await requireCommand(['ip', 'netns', 'add', name]);
  await removeNamed(name);
}

async function removeNamed(name: string): Promise<void> {
  await requireCommand(['ip', 'netns', 'delete', name]);
}
