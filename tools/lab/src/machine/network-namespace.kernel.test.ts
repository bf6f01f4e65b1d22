// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createNamespaceRegistry, netnsPath } from './network-namespace.ts';
import { requireCommand, runCommand } from './run-command.ts';

const name = `weirns${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), 'weir-netns-'));
const registry = createNamespaceRegistry(directory);
const known = async (): Promise<boolean> => (await requireCommand(['ip', 'netns', 'list'])).split(/\s/).includes(name);

afterEach(async () => {
  await runCommand(['ip', 'netns', 'delete', name]);
  rmSync(netnsPath(name), { force: true });
  rmSync(directory, { recursive: true, force: true });
});

describe('NamespaceRegistry', () => {
  it('makes a namespace that `ip netns` knows, with its loopback up', async () => {
    await registry.create(name);
    expect(await known()).toBe(true);
    expect(await requireCommand(['ip', '-n', name, '-brief', 'link', 'show', 'lo'])).toContain('LOOPBACK,UP');
    expect(await registry.list()).toEqual([name]);
  });

  it('removes what it has made, and forgets it', async () => {
    await registry.create(name);
    await registry.remove(name);
    expect(await known()).toBe(false);
    expect(await registry.list()).toEqual([]);
  });

  it('refuses a name that is taken, and leaves that namespace alone', async () => {
    await requireCommand(['ip', 'netns', 'add', name]);
    await expect(registry.create(name)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await registry.remove(name);
    expect(await known()).toBe(true);
  });

  it('leaves a namespace alone that somebody else has made anew under the same name', async () => {
    await registry.create(name);
    // The kernel gives numbers of inodes again, sooner or later: often enough for the same one to come.
    for (let round = 0; round < 20; round++) {
      await requireCommand(['ip', 'netns', 'delete', name]);
      await requireCommand(['ip', 'netns', 'add', name]);
      const recorded = readFileSync(join(directory, name), 'utf8');
      await registry.remove(name);
      expect(await known()).toBe(true);
      writeFileSync(join(directory, name), recorded);
    }
  });

  it('removes what its owner had begun when it died', async () => {
    await registry.create(name);
    writeFileSync(join(directory, name), '');
    await registry.remove(name);
    expect(await known()).toBe(false);
  });

  it('takes a name back whose namespace was lost in a reboot', async () => {
    await registry.create(name);
    await requireCommand(['umount', netnsPath(name)]);
    expect(existsSync(netnsPath(name))).toBe(true);
    await registry.remove(name);
    expect(existsSync(netnsPath(name))).toBe(false);
    writeFileSync(netnsPath(name), '');
    await registry.create(name);
    expect(await known()).toBe(true);
    await registry.remove(name);
  });
});
