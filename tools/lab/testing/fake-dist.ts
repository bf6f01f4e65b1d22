// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

/** A directory like dist/, with the real lab and CNI plugin, a fake agent, and services that only wait. */
export interface FakeDist {
  readonly directory: string;
  remove(): void;
}

const root = join(import.meta.dirname, '../../..');

// As the bundler of the workspace has it, for dependencies in CommonJS.
const banner =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" +
  'const __filename = import.meta.filename; const __dirname = import.meta.dirname;';

/** Makes such a directory; plugin and lab are built into it from their sources. */
export function makeFakeDist(): FakeDist {
  const directory = mkdtempSync(join(tmpdir(), 'weir-fake-dist-'));
  const fakeAgent = pathToFileURL(join(import.meta.dirname, 'fake-agent.ts')).href;
  writeFileSync(join(directory, 'agent.mjs'), `await import(${JSON.stringify(fakeAgent)});\n`);
  for (const name of ['identity-allocator', 'operator', 'l7-proxy', 'monitor-relay']) {
    const wait = `process.stdout.write(${JSON.stringify(`${name} waits\n`)}); setInterval(() => undefined, 1000);\n`;
    writeFileSync(join(directory, `${name}.mjs`), wait);
  }
  const made = spawnSync('make', ['-s', '-C', join(root, 'apps/cni'), `OUT=${directory}`], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`make -C apps/cni: ${made.stderr}`);
  buildSync({
    entryPoints: [join(import.meta.dirname, '../src/main.ts')],
    outfile: join(directory, 'lab.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    banner: { js: banner },
    logLevel: 'error',
  });
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
