// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cgroupProcesses, createCgroup, findCgroup2, killCgroup, removeCgroup } from './cgroup.ts';
import { listMounts } from './mounts.ts';

const root = findCgroup2(await listMounts());
const cgroup = join(root ?? '/nonexistent', `weir-test-${process.pid}`);
const inCgroups = root === undefined ? describe.skip : describe;

/** A process, with a child of its own, that has joined a cgroup. */
async function member(path: string): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', `echo 0 > ${path}/cgroup.procs; sleep 1000 & echo joined; wait`]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

const ended = (child: ChildProcess): Promise<unknown> =>
  child.signalCode === null ? new Promise((resolve) => child.once('exit', resolve)) : Promise.resolve();

inCgroups('cgroups of version 2', () => {
  beforeEach(() => createCgroup(join(cgroup, 'a', 'b')));
  afterEach(() => removeCgroup(cgroup));

  it('cgroupProcesses() lists the processes of the whole subtree', async () => {
    const child = await member(join(cgroup, 'a', 'b'));
    const processes = await cgroupProcesses(cgroup);
    expect(processes).toContain(child.pid);
    expect(processes).toHaveLength(2);
  });

  it('killCgroup() returns when everything in the subtree has ended', async () => {
    const children = [await member(join(cgroup, 'a', 'b')), await member(cgroup)];
    await killCgroup(cgroup);
    expect(await cgroupProcesses(cgroup)).toEqual([]);
    await Promise.all(children.map(ended));
    expect(children.map(({ signalCode }) => signalCode)).toEqual(['SIGKILL', 'SIGKILL']);
  });

  it('removeCgroup() ends what runs in it and removes it with what is below', async () => {
    await member(join(cgroup, 'a', 'b'));
    await removeCgroup(cgroup);
    expect(existsSync(cgroup)).toBe(false);
  });

  it('removeCgroup() of one that does not exist does nothing', async () => {
    await expect(removeCgroup(join(cgroup, 'none'))).resolves.toBeUndefined();
  });

  it('killCgroup() refuses to end its own process', async () => {
    writeFileSync(join(cgroup, 'cgroup.procs'), String(process.pid));
    try {
      await expect(killCgroup(cgroup)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    } finally {
      writeFileSync(join(root ?? '', 'cgroup.procs'), String(process.pid));
    }
  });
});
