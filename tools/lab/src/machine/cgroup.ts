// SPDX-License-Identifier: Apache-2.0
import type { Dirent } from 'node:fs';
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WeirError } from '@weir/errors';
import type { Mount } from './mounts.ts';

// Where the usual distributions mount it: beside version 1, or alone.
const preferredMounts = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'];
const emptyDeadlineMs = 10_000;

/** Where the version 2 hierarchy is mounted, if it is. */
export function findCgroup2(mounts: readonly Mount[]): string | undefined {
  const paths = mounts.filter(({ type }) => type === 'cgroup2').map(({ path }) => path);
  return preferredMounts.find((path) => paths.includes(path)) ?? paths[0];
}

/** Makes a cgroup and those above it; one that is there already will do. */
export async function createCgroup(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
}

/** The processes of a cgroup and of those below it; none when it does not exist. */
export async function cgroupProcesses(path: string): Promise<readonly number[]> {
  const lists = await Promise.all((await subtree(path)).map((one) => readText(join(one, 'cgroup.procs'))));
  return lists.flatMap((list) => list.split('\n').filter(Boolean).map(Number));
}

/**
 * Kills every process in a cgroup and below it, also those that are just being born, and waits until they are gone.
 * FAILED_PRECONDITION when the caller itself is among them, TIMEOUT when one cannot be killed.
 */
export async function killCgroup(path: string): Promise<void> {
  const startedMs = performance.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const pids = await cgroupProcesses(path);
    if (pids.length === 0) return;
    if (pids.includes(process.pid)) {
      throw new WeirError('FAILED_PRECONDITION', `Cannot end the processes of "${path}" from inside it`);
    }
    if (performance.now() - startedMs > emptyDeadlineMs) {
      throw new WeirError('TIMEOUT', `Processes ${pids.join(', ')} did not end within ${emptyDeadlineMs} ms`);
    }
    await killAll(path, pids);
    await sleep(pauseMs);
  }
}

/** Kills what runs in a cgroup, and removes it with those below it. One that does not exist is no error. */
export async function removeCgroup(path: string): Promise<void> {
  await killCgroup(path);
  for (const one of (await subtree(path)).toReversed()) await removeDirectory(one);
}

async function killAll(path: string, pids: readonly number[]): Promise<void> {
  try {
    await writeFile(join(path, 'cgroup.kill'), '1', { flag: 'r+' });
  } catch {
    // Before Linux 5.14 there is no cgroup.kill; the caller looks again until nobody is left.
    for (const pid of pids) kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** A cgroup and all below it, parents first. */
async function subtree(path: string): Promise<readonly string[]> {
  let entries: readonly Dirent[];
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch {
    return [];
  }
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => subtree(join(path, entry.name)));
  return [path, ...(await Promise.all(below)).flat()];
}

// The kernel takes a moment to let go of a process that has just ended.
async function removeDirectory(path: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await rmdir(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || attempt === 100) throw WeirError.from(error, 'SYSTEM_CALL_FAILED');
      await sleep(10);
    }
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return '';
  }
}
