// SPDX-License-Identifier: Apache-2.0
// A tree of its own with a stand-in for Jest: what matters is what becomes of its exit status and report.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { runJest } from './jest-run.ts';

const report = {
  numPassedTests: 2,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  numRuntimeErrorTestSuites: 0,
  testResults: [],
};
const writeReport = `require('node:fs').writeFileSync(process.argv[process.argv.indexOf('--outputFile') + 1], process.env.REPORT);`;

describe('runJest()', () => {
  let root: string;
  let said: string[];
  beforeEach(() => {
    root = `${mkdtempSync(join(tmpdir(), 'weir-testrun-test-'))}/`;
    mkdirSync(`${root}node_modules/jest/bin`, { recursive: true });
    said = [];
    process.env['REPORT'] = JSON.stringify(report);
  });
  afterEach(() => {
    delete process.env['REPORT'];
    rmSync(root, { recursive: true });
  });

  const run = (script: string, timeoutMs = 10_000): ReturnType<typeof runJest> => {
    writeFileSync(`${root}node_modules/jest/bin/jest.js`, script);
    return runJest({ root, kind: 'unit', args: [], timeoutMs, say: (line) => said.push(line) });
  };

  it('takes the counts from the report of a run that ended well', async () => {
    expect(await run(writeReport)).toMatchObject({ passed: 2, failed: 0 });
  });

  it('counts a failure when the exit status is bad though no test failed', async () => {
    expect(await run(`${writeReport} process.exit(1);`)).toMatchObject({ passed: 2, failed: 1 });
    expect(said).toEqual(['The unit tests ended with 1']);
  });

  it('counts a failure when there is no report', async () => {
    expect(await run('process.exit(0);')).toMatchObject({ passed: 0, failed: 1 });
  });

  it('kills a run that takes too long, and counts a failure', async () => {
    expect(await run('setInterval(() => {}, 1000);', 300)).toMatchObject({ passed: 0, failed: 1 });
    expect(said).toEqual(['The unit tests ended with SIGKILL after at most 0.3 s and left no report']);
  });
});
