// SPDX-License-Identifier: Apache-2.0
// bundle: one self-contained ES module per program in dist/, with the native addon and the relay's page beside it.
import { copyFileSync, cpSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions } from 'esbuild';
import { lazyBuiltins } from './lazy-builtins.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const dist = `${root}dist/`;

/** Program → its composition root; and threads of the agent's. */
const programs = {
  agent: 'apps/agent/src/main.ts',
  'policy-parser': 'apps/agent/src/policy/policy-parser-thread.ts',
  maglev: 'apps/agent/src/service/maglev-thread.ts',
  'observer-thread': 'apps/agent/src/observe/observer-thread.ts',
  'kube-config': 'libs/kubernetes/src/kube-config.ts',
  'identity-allocator': 'apps/identity-allocator/src/main.ts',
  operator: 'apps/operator/src/main.ts',
  'l7-proxy': 'apps/l7-proxy/src/main.ts',
  'monitor-relay': 'apps/monitor-relay/src/main.ts',
  weir: 'apps/cli/src/main.ts',
  lab: 'tools/lab/src/main.ts',
  demo: 'tools/demo/src/main.ts',
};

// Dependencies in CommonJS look for these three, which an ES module does not have.
const banner = [
  "import { createRequire as weirCreateRequire } from 'node:module';",
  'const require = weirCreateRequire(import.meta.url);',
  'const __filename = import.meta.filename;',
  'const __dirname = import.meta.dirname;',
].join('\n');

const entryPoints = Object.fromEntries(Object.entries(programs).filter(([, path]) => existsSync(root + path)));
mkdirSync(dist, { recursive: true });
const options: BuildOptions = {
  absWorkingDir: root,
  entryPoints,
  outdir: dist,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  sourcemap: 'linked',
  // The engine keeps the text of what it runs; lines stay short enough for the places in a stack to mean something.
  minifyWhitespace: true,
  lineLimit: 120,
  external: ['*.node'],
  banner: { js: banner },
  plugins: [lazyBuiltins],
  logLevel: 'warning',
};
try {
  await build(options);
} catch {
  // esbuild has said on standard error what is wrong and where.
  process.exit(1);
}

// Renamed into place: a process that has the old one mapped must never see it change.
const addon = `${root}libs/bpf-loader-node/build/bpf-loader.node`;
copyFileSync(addon, `${dist}bpf-loader.node.tmp`);
renameSync(`${dist}bpf-loader.node.tmp`, `${dist}bpf-loader.node`);
// What a browser is given is served as it is written.
cpSync(`${root}apps/monitor-relay/page`, `${dist}page`, { recursive: true });
process.stdout.write(`  BUNDLE   ${Object.keys(entryPoints).join(' ')}\n`);
