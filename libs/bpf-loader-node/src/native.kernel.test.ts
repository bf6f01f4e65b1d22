// SPDX-License-Identifier: Apache-2.0
// How the addon is found, and how it behaves when its environment ends: each case in a process of its own.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import { describeAsRoot, sampleSpec } from '../testing/sample.ts';

const library = join(import.meta.dirname, 'index.ts');

interface Outcome {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a module; a crash shows as a signal. */
function run(code: string): Outcome {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', code];
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 10_000 });
}

/** The start of a module that has the sample loaded and a ring reader open. */
function prelude(onBatch: string, keepAlive: boolean): string {
  sampleSpec();
  const object = join(import.meta.dirname, '..', 'build', 'testing', 'sample.bpf.o');
  return `
    import { encodeSkbContext, loadObject, openObject, openRingReader } from '${pathToFileURL(library).href}';
    const sample = loadObject(openObject({ path: '${object}' }));
    const send = () => sample.program('send_events').testRun({ data: new Uint8Array(64), context: encodeSkbContext({ mark: 1 }) });
    const reader = openRingReader(sample.map('events'), { intervalMs: 0, keepAlive: ${keepAlive}, onBatch: ${onBatch} });
  `;
}

describeAsRoot('an environment that ends', () => {
  it('a process with an open reader that need not stay ends by itself', () => {
    expect(run(prelude('() => undefined', false))).toMatchObject({ status: 0, stderr: '' });
  });

  it('process.exit() with an open reader and work on the pool is clean', () => {
    const code = `${prelude('() => undefined', true)}
      send();
      void sample.map('counters').updateManyAsync({ keys: new Uint8Array(4), values: new Uint8Array(8) });
      process.exit(7);`;
    expect(run(code)).toMatchObject({ status: 7, signal: null, stderr: '' });
  });

  it('an exception in onBatch is an uncaught one', () => {
    const code = `${prelude("() => { throw new Error('from onBatch'); }", true)}
      process.on('uncaughtException', (error) => { console.log(error.message); reader.close(); });
      send();`;
    expect(run(code)).toMatchObject({ status: 0, stdout: 'from onBatch\n' });
  });

  it('workers have handles of their own and may be terminated at any time', () => {
    const inner = `import { parentPort } from 'node:worker_threads';
      ${prelude("() => parentPort.postMessage('batch')", true)}
      setInterval(send, 1);`;
    const code = `
      import { Worker } from 'node:worker_threads';
      const inner = ${JSON.stringify(inner)};
      for (let i = 0; i < 5; i++) {
        const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(inner)));
        await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject); });
        console.log(await worker.terminate());
      }`;
    expect(run(code)).toMatchObject({ status: 0, stdout: '1\n'.repeat(5), stderr: '' });
  });
});

describe('a bundled service', () => {
  let directory = '';
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'weir-bundle-'));
    const service = join(directory, 'service.ts');
    writeFileSync(
      service,
      `import { hasHelper } from '${library}';\nhasHelper({ programType: 'xdp', helper: 'none' });\n`,
    );
    await build({
      entryPoints: [service],
      outfile: join(directory, 'service.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
    });
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  /** What the bundle throws. */
  function complaint(): string {
    return spawnSync(process.execPath, [join(directory, 'service.mjs')], { encoding: 'utf8' }).stderr;
  }

  it('says where it looked for the addon and what to run', () => {
    expect(complaint()).toMatch(/WeirError: Cannot find the native addon at ".*" or ".*": run "make build"/);
    expect(complaint()).toContain(join(directory, 'bpf-loader.node'));
  });

  it('says so when the addon is there but cannot be loaded', () => {
    writeFileSync(join(directory, 'bpf-loader.node'), 'no shared object');
    expect(complaint()).toMatch(/WeirError: Cannot load the native addon ".*": run "make build" again/);
  });

  it('finds the addon next to its own file', () => {
    copyFileSync(join(import.meta.dirname, '..', 'build', 'bpf-loader.node'), join(directory, 'bpf-loader.node'));
    expect(complaint()).toContain('WeirError: helper: "none" is not a helper');
  });
});
