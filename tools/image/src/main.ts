// SPDX-License-Identifier: Apache-2.0
// image: the image with all programs, out of what make build left, without Docker: an archive, or a directory for a Dockerfile.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../package.json' with { type: 'json' };
import { Command } from 'commander';
import { writeImageArchive } from './image-archive.ts';
import { writeRootFileSystem } from './root-file-system.ts';

const archive = fileURLToPath(new URL('../../../dist/weir-image.tar', import.meta.url));

interface Flags {
  readonly rootfs?: string;
  readonly output: string;
  readonly tag: string;
}

const flags = new Command('image')
  .description('Makes the image with all programs out of what make build left.')
  .option('--rootfs <directory>', 'write the files below this new directory, and no image')
  .option('--output <file>', 'the archive', archive)
  .option('--tag <name>', 'name of the image', `docker.io/weir/weir:${packageJson.version}`)
  .parse()
  .opts<Flags>();
if (flags.rootfs === undefined) {
  const digest = writeImageArchive(flags.output, flags.tag);
  process.stdout.write(`${flags.tag} ${digest}: ${join(flags.output)}\n`);
} else {
  writeRootFileSystem(flags.rootfs);
}
