// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, mkdtempSync, renameSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { claimUnixSocket } from './unix-socket.ts';

describe('claimUnixSocket()', () => {
  let directory: string;
  const servers: Server[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-claim-'));
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  const listen = (path: string): Promise<Server> =>
    new Promise((resolve) => {
      const server = createServer();
      servers.push(server);
      server.listen(path, () => resolve(server));
    });

  /** What is left of a process that was killed between binding and naming. */
  async function abandon(name: string): Promise<void> {
    const aside = join(directory, 'bound');
    const server = await listen(aside);
    mkdirSync(join(directory, name));
    // Closing takes away the file that the server has bound, under the name that it knows.
    renameSync(aside, join(directory, name, 's'));
    await new Promise((resolve) => server.close(resolve));
    servers.pop();
  }

  it('removes what a claimant left behind that was killed after binding', async () => {
    await abandon('.a.sock');
    const claim = await claimUnixSocket({ path: join(directory, 'a.sock'), mode: 0o660 });
    await listen(claim.bindPath);
    await claim.publish();
    expect(readdirSync(directory)).toEqual(['a.sock']);
  });

  it('removes what a claimant left behind that was killed before binding', async () => {
    mkdirSync(join(directory, '.a.sock'));
    await (await claimUnixSocket({ path: join(directory, 'a.sock'), mode: 0o660 })).remove();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('leaves the claim of somebody who is about to listen elsewhere', async () => {
    const other = await claimUnixSocket({ path: join(directory, 'b.sock'), mode: 0o660 });
    await claimUnixSocket({ path: join(directory, 'a.sock'), mode: 0o660 });
    await listen(other.bindPath);
    await claimUnixSocket({ path: join(directory, 'a.sock'), mode: 0o660 });
    await other.publish();
    expect(existsSync(join(directory, 'b.sock'))).toBe(true);
  });

  it('refuses while somebody else is about to give the same name', async () => {
    const path = join(directory, 'a.sock');
    const other = await claimUnixSocket({ path, mode: 0o660 });
    await listen(other.bindPath);
    await expect(claimUnixSocket({ path, mode: 0o660 })).rejects.toThrow('another process listens there');
    await other.publish();
    expect(readdirSync(directory)).toEqual(['a.sock']);
  });
});
