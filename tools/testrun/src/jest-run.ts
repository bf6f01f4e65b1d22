// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Kind } from './kind.ts';
import { tallyOf, type JestReport, type Tally } from './tally.ts';

/** What one run of Jest needs to know. */
export interface JestRun {
  /** Top of the source tree, ending in a slash. */
  readonly root: string;
  readonly kind: Kind;
  /** Passed on to Jest: paths, or flags. */
  readonly args: readonly string[];
  readonly timeoutMs: number;
  /** Tells why a run without a usable report counts as a failure. */
  readonly say: (line: string) => void;
}

/** Runs the tests of one kind with their output on this terminal; a run that reports nothing counts as a failure. */
export async function runJest({ root, kind, args, timeoutMs, say }: JestRun): Promise<Tally> {
  const directory = mkdtempSync(join(tmpdir(), 'weir-testrun-'));
  const report = join(directory, 'report.json');
  // Lab tests share one machine's names and clocks: one file at a time.
  const flags = ['--passWithNoTests', '--json', '--outputFile', report, ...(kind === 'lab' ? ['--runInBand'] : [])];
  try {
    const exit = await finished({ root, kind, flags: [...flags, ...args], timeoutMs });
    const tally = readReport(report);
    if (tally !== undefined && (exit === 0 || tally.failed > 0)) return tally;
    say(`The ${kind} tests ended with ${exit}${tally === undefined ? ' and left no report' : ''}`);
    return { ...(tally ?? { passed: 0, skipped: 0, skippedTitles: [] }), failed: 1 };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function readReport(path: string): Tally | undefined {
  try {
    return tallyOf(JSON.parse(readFileSync(path, 'utf8')) as JestReport);
  } catch {
    // Jest was killed before it could write: the caller says so.
    return undefined;
  }
}

interface Child extends Omit<JestRun, 'args' | 'say'> {
  readonly flags: readonly string[];
}

function finished({ root, kind, flags, timeoutMs }: Child): Promise<number | string> {
  const { promise, resolve } = Promise.withResolvers<number | string>();
  const env = {
    ...process.env,
    WEIR_TESTS: kind,
    PATH: [`${root}node_modules/.bin`, process.env['PATH']].join(delimiter),
    NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
  };
  const jest = `${root}node_modules/jest/bin/jest.js`;
  // With --outputFile the JSON goes there, and the readable report to standard error.
  const child = spawn(process.execPath, [jest, ...flags], { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  child.on('error', (error) => resolve(error.message));
  child.on('exit', (code, signal) => {
    clearTimeout(timer);
    resolve(signal === null ? (code ?? 1) : `${signal} after at most ${timeoutMs / 1000} s`);
  });
  return promise;
}
