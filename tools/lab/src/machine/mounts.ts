// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { requireCommand, runCommand } from './run-command.ts';

/** A mount as this process sees it. */
export interface Mount {
  readonly path: string;
  /** `bpf`, `cgroup2`, `tmpfs` … */
  readonly type: string;
}

const unescape = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

/** Reads the text of /proc/self/mountinfo, in mount order. */
export function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      // Optional fields between the mount options and the type end with a lone hyphen (proc_pid_mountinfo(5)).
      const [before = '', after = ''] = line.split(' - ', 2);
      return { path: unescape(before.split(' ')[4] ?? ''), type: after.split(' ')[0] ?? '' };
    });
}

/** What is mounted now. */
export async function listMounts(): Promise<readonly Mount[]> {
  return parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** Mounts a new instance of a file system without a device on an existing directory. */
export async function mountFileSystem(type: 'bpf' | 'cgroup2', path: string): Promise<void> {
  await requireCommand(['mount', '-t', type, 'none', path]);
}

/** Unmounts everything at and below a directory; what is busy disappears when its last user goes. */
export async function unmountBelow(directory: string): Promise<void> {
  const below = (await listMounts()).filter(({ path }) => path === directory || path.startsWith(`${directory}/`));
  for (const { path } of below.toReversed()) {
    const result = await runCommand(['umount', path]);
    if (result.status !== 0) await requireCommand(['umount', '--lazy', path]);
  }
}
