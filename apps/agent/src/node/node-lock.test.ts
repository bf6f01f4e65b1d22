// SPDX-License-Identifier: Apache-2.0
import { linkSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { lockNode } from './node-lock.ts';
import { checkPrerequisites, readMachine } from './prerequisites.ts';

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'weir-lock-'));
});
afterEach(() => rmSync(runDir, { recursive: true }));

describe('lockNode()', () => {
  it('refuses a second agent with the same run directory, and says what to do', async () => {
    const lock = await lockNode(runDir);
    await expect(lockNode(runDir)).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining(
        `Another agent runs with the run directory "${runDir}"; stop it, or give this one`,
      ),
    });
    await lock.release();
    await (await lockNode(runDir)).release();
  });

  it('takes the lock of an agent that has died', async () => {
    const path = join(runDir, 'agent.lock');
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(`${path}.was`, resolve));
    linkSync(`${path}.was`, path);
    await new Promise((resolve) => dead.close(resolve));
    await (await lockNode(runDir)).release();
  });
});

describe('checkPrerequisites()', () => {
  const everything = (1n << 64n) - 1n;
  const machine = { kernel: '5.10.0-28-amd64', capabilities: everything, hasBtf: true };

  it.each(['5.10.0', '6.1.0-rc1', '10.0.1'])('accepts Linux %s', (kernel) => {
    checkPrerequisites({ ...machine, kernel });
  });

  it.each([
    [{ capabilities: 0n }, 'PERMISSION_DENIED', 'The agent lacks CAP_NET_ADMIN and CAP_SYS_ADMIN: run it as root'],
    [{ capabilities: everything ^ (1n << 12n) }, 'PERMISSION_DENIED', 'The agent lacks CAP_NET_ADMIN: run it as root'],
    [{ kernel: '5.4.0-generic' }, 'NOT_SUPPORTED', 'The kernel is 5.4.0-generic; the agent needs 5.10 or newer'],
    [{ kernel: '4.19.1' }, 'NOT_SUPPORTED', 'the agent needs 5.10 or newer'],
    [{ hasBtf: false }, 'NOT_SUPPORTED', 'it must be built with CONFIG_DEBUG_INFO_BTF'],
  ])('refuses %j', (lacking, code, message) => {
    expect(() => checkPrerequisites({ ...machine, ...lacking })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it('reads what this machine has', () => {
    expect(readMachine()).toEqual({
      ...{ kernel: expect.stringMatching(/^\d+\.\d+/), hasBtf: expect.any(Boolean) },
      capabilities: expect.any(BigInt),
    });
  });
});
