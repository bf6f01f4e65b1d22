// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findCgroup2, removeCgroup } from '../machine/cgroup.ts';
import { createLimiter } from '../machine/limiter.ts';
import { listMounts, unmountBelow } from '../machine/mounts.ts';
import { createNamespaceRegistry } from '../machine/network-namespace.ts';
import { labsDirectory, type LabPaths } from './lab-paths.ts';

/** The cgroup that the labs' cgroups are in. */
export const labsCgroup = 'weir-lab';

const concurrentMax = 8;

/** Where a lab's cgroup is, or would be if a version 2 hierarchy were mounted. */
async function findLabCgroup(paths: LabPaths): Promise<string> {
  const mounts = await listMounts();
  const own = mounts.find(({ path }) => path === paths.cgroupMount);
  return join(own?.path ?? findCgroup2(mounts) ?? paths.cgroupMount, labsCgroup, paths.name);
}

/** Whether anything of a lab is there, alive or not. */
export async function hasRemains(paths: LabPaths): Promise<boolean> {
  return existsSync(paths.directory) || existsSync(await findLabCgroup(paths));
}

/**
 * Removes all that a lab has made, in whatever state it is: its processes, namespaces, mounts, cgroups and files. What the
 * lab did not make stays. Nothing there is no error.
 */
export async function teardown(paths: LabPaths): Promise<void> {
  const cgroup = await findLabCgroup(paths);
  await removeCgroup(cgroup);
  const namespaces = createNamespaceRegistry(paths.namespaceDirectory);
  const limited = createLimiter(concurrentMax);
  await Promise.all((await namespaces.list()).map((name) => limited(() => namespaces.remove(name))));
  await removeIfEmpty(dirname(cgroup));
  await unmountBelow(paths.directory);
  await rm(paths.directory, { recursive: true, force: true });
  await removeIfEmpty(labsDirectory);
}

// Other labs may be in it.
async function removeIfEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(() => undefined);
}
