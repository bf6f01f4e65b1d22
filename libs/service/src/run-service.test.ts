// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { checkedFlag, readCommandLine } from './command-line.ts';

const library = fileURLToPath(new URL('index.ts', import.meta.url));

/** Runs a service whose start is `start`, a function body; ends when the process does. */
function startService(start: string, commandLine = "{ kind: 'run', options: {} }"): ChildProcessWithoutNullStreams {
  const source = `
    import { createLogger } from '@weir/telemetry';
    import { runService } from '${library}';
    await runService({
      commandLine: ${commandLine},
      logger: () => createLogger({ service: 'test' }),
      start: async () => { ${start} },
    });`;
  const args = ['--input-type=module-typescript', '--eval', source];
  return spawn(process.execPath, args, { cwd: import.meta.dirname, env: { ...process.env, NODE_OPTIONS: '' } });
}

async function outcomeOf(child: ChildProcessWithoutNullStreams) {
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number];
  const lines = stderr.split('\n').filter((line) => line.startsWith('{'));
  // The last line may overtake one that is still being written.
  const messages = lines.map((line) => JSON.parse(line).message as string).sort();
  return { status, stdout, stderr, messages };
}

// Says so once it listens to signals: one before that ends the process as it ends any other.
const serving = `
  const poll = setInterval(() => {
    if (process.listenerCount('SIGTERM') === 0) return;
    clearInterval(poll);
    process.stdout.write('ready');
  }, 5);
  setInterval(() => 0, 1000);`;
const whenReady = async (child: ChildProcessWithoutNullStreams): Promise<void> =>
  void (await once(child.stdout, 'data'));

describe('runService()', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('stops in good order at %s', async (signal) => {
    const child = startService(`${serving} return { stop: async () => process.stdout.write(' stopped') };`);
    const outcome = outcomeOf(child);
    await whenReady(child);
    child.kill(signal);
    expect(await outcome).toMatchObject({ status: 0, stdout: 'ready stopped', messages: ['Stopped', 'Stopping'] });
  });

  it('stops at once when it is asked twice', async () => {
    const child = startService(`${serving} return { stop: () => new Promise(() => process.stdout.write('...')) };`);
    const outcome = outcomeOf(child);
    await whenReady(child);
    child.kill('SIGTERM');
    await whenReady(child);
    child.kill('SIGTERM');
    expect(await outcome).toMatchObject({ status: 1, messages: ['Stopped at once', 'Stopping'] });
  });

  it.each([
    ['a start that fails', "throw new TypeError('no luck');"],
    ['an exception that nobody catches', "setTimeout(() => { throw new TypeError('no luck'); }, 5); return {};"],
    ['a promise that nobody catches', "void Promise.reject(new TypeError('no luck')); return {};"],
  ])('logs %s, and exits with 1', async (_, start) => {
    const { status, stderr, messages } = await outcomeOf(startService(start));
    expect([status, messages]).toEqual([1, ['Cannot go on']]);
    expect(stderr).toContain('no luck');
  });

  it('exits with 1 when it fails to stop', async () => {
    const child = startService(`${serving} return { stop: () => Promise.reject(new TypeError('stuck')) };`);
    const outcome = outcomeOf(child);
    await whenReady(child);
    child.kill('SIGTERM');
    expect(await outcome).toMatchObject({ status: 1, messages: ['Cannot go on', 'Stopping'] });
  });

  it.each([
    [0, 'stdout'],
    [2, 'stderr'],
  ] as const)('prints what the command line asks for, and exits with %i', async (status, stream) => {
    const commandLine = `{ kind: 'exit', status: ${status}, output: 'words' }`;
    expect(await outcomeOf(startService('', commandLine))).toMatchObject({ status, [stream]: 'words' });
  });
});

describe('checkedFlag()', () => {
  it('gathers a flag that is repeated', () => {
    const command = new Command('x').option(
      '-n <number>',
      'numbers',
      checkedFlag<number[]>((text, previous) => [...(previous ?? []), Number(text)]),
    );
    const read = { args: ['-n', '1', '-n', '2'], fromFlags: (flags: { n?: number[] }) => flags.n };
    expect(readCommandLine(command, read)).toEqual({ kind: 'run', options: [1, 2] });
  });
});
