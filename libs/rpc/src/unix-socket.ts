// SPDX-License-Identifier: Apache-2.0
import { chmod, link, lstat, mkdir, rm, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { WeirError } from '@weir/errors';

/** A socket that is being made where nobody can reach it yet. */
export interface UnixSocketClaim {
  /** Bind here first. */
  readonly bindPath: string;
  /** Gives the bound socket its mode, then its name: from now on clients can connect. */
  publish(): Promise<void>;
  /** Takes the name away again, if it is still ours. */
  remove(): Promise<void>;
}

type Occupant = 'nothing' | 'stale-socket' | 'listener' | 'other-file';

const isCode = (error: unknown, code: string): boolean => (error as { code?: unknown }).code === code;

async function occupantOf(path: string): Promise<Occupant> {
  const stat = await lstat(path).catch((error: unknown) => {
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return undefined;
    throw error;
  });
  if (stat === undefined) return 'nothing';
  if (!stat.isSocket()) return 'other-file';
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve('listener');
    });
    // Only a refusal proves that nobody listens: a full backlog, say, is somebody who is busy.
    probe.once('error', (error) => resolve(isCode(error, 'ECONNREFUSED') ? 'stale-socket' : 'listener'));
  });
}

const refusal: Readonly<Record<'listener' | 'other-file', string>> = {
  listener: 'another process listens there',
  'other-file': 'there is a file that is not a socket; it was left as it is',
};

/**
 * Where the socket of `path` is born. The name follows from the path, so that who starts again after being killed in the
 * middle finds what was left; it is short, as the path of a socket has 107 bytes at most.
 */
const nurseryOf = (path: string): string => join(dirname(path), `.${basename(path)}`);

/**
 * Prepares to listen on `path`: makes its directory, removes a socket that nobody listens on. FAILED_PRECONDITION when
 * somebody does, or when something else has that name. The socket is bound in a directory of its own, where only we can
 * enter, and gets its mode before it gets its name.
 */
export async function claimUnixSocket({ path, mode }: { path: string; mode: number }): Promise<UnixSocketClaim> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const refuse = (why: keyof typeof refusal): never => {
    throw new WeirError('FAILED_PRECONDITION', `Cannot listen on "${path}": ${refusal[why]}`, { details: { path } });
  };
  const occupant = await occupantOf(path);
  if (occupant === 'listener' || occupant === 'other-file') refuse(occupant);
  if (occupant === 'stale-socket') await rm(path, { force: true });

  const nursery = nurseryOf(path);
  const bindPath = join(nursery, 's');
  if ((await occupantOf(bindPath)) === 'listener') refuse('listener');
  await rm(nursery, { recursive: true, force: true });
  // Of those who claim one path at the same time, all but one fail: here, at binding, or at naming.
  await mkdir(nursery, { mode: 0o700 }).catch((error: unknown) => {
    if (isCode(error, 'EEXIST')) refuse('listener');
    throw error;
  });
  let inode: number | undefined;
  return {
    bindPath,
    async publish() {
      try {
        await chmod(bindPath, mode);
        ({ ino: inode } = await lstat(bindPath));
        // Unlike a rename, this fails when somebody else took the name meanwhile.
        await link(bindPath, path);
      } catch (error) {
        const reason = isCode(error, 'EEXIST') ? refusal.listener : (error as Error).message;
        throw new WeirError('FAILED_PRECONDITION', `Cannot listen on "${path}": ${reason}`, { cause: error });
      } finally {
        await rm(nursery, { recursive: true, force: true });
      }
    },
    async remove() {
      await rm(nursery, { recursive: true, force: true });
      const stat = await lstat(path).catch(() => undefined);
      if (stat !== undefined && stat.ino === inode) await unlink(path);
    },
  };
}
