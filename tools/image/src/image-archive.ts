// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeRootFileSystem } from './root-file-system.ts';

// The same content gives the same archive, whoever makes it and when.
const plain = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Writes the image as `docker save` does, for `ctr images import` and `docker load`; gives the digest of its layer. */
export function writeImageArchive(path: string, tag: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'weir-image-'));
  const at = (name: string): string => join(directory, name);
  try {
    writeRootFileSystem(at('root'));
    execFileSync('tar', [...plain, '-C', at('root'), '-cf', at('layer.tar'), '.']);
    const digest = `sha256:${createHash('sha256')
      .update(readFileSync(at('layer.tar')))
      .digest('hex')}`;
    writeFileSync(at('config.json'), JSON.stringify(configOf(digest)));
    const manifest = [{ Config: 'config.json', RepoTags: [tag], Layers: ['layer.tar'] }];
    writeFileSync(at('manifest.json'), JSON.stringify(manifest));
    execFileSync('tar', [...plain, '-C', directory, '-cf', path, 'manifest.json', 'config.json', 'layer.tar']);
    return digest;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const configOf = (digest: string): object => ({
  architecture: architectures[process.arch] ?? process.arch,
  os: 'linux',
  created: '1970-01-01T00:00:00Z',
  config: { Env: ['PATH=/opt/weir'], WorkingDir: '/', Entrypoint: ['/opt/weir/node'] },
  rootfs: { type: 'layers', diff_ids: [digest] },
  history: [{ created: '1970-01-01T00:00:00Z', created_by: 'make image' }],
});
