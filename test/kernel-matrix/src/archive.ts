// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { WeirError } from '@weir/errors';

/** Packs a directory as the kernel wants its initial RAM file system. */
export async function packDirectory(directory: string, archive: string): Promise<void> {
  const packer = spawn('sh', ['-c', 'find . | cpio --quiet -o -H newc'], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  packer.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const [[status]] = await Promise.all([once(packer, 'exit'), pipeline(packer.stdout, createWriteStream(archive))]);
  if (status !== 0) throw new WeirError('FAILED_PRECONDITION', `Cannot pack "${directory}": ${complaint.trim()}`);
}

/** Makes an archive of another with the modules of a kernel behind it: the kernel unpacks one after the other. */
export async function withModules(base: string, modules: readonly string[], archive: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'weir-matrix-'));
  try {
    await mkdir(join(directory, 'modules'));
    // Numbered, because some need others that come before them.
    for (const [index, path] of modules.entries())
      await cp(path, join(directory, 'modules', `${index}-${basename(path)}`));
    const extra = `${archive}.modules`;
    await packDirectory(directory, extra);
    await cp(base, archive);
    await appendFile(archive, await readFile(extra));
    await rm(extra);
  } finally {
    await rm(directory, { recursive: true });
  }
}
