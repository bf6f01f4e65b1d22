// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { closingLine, nothing, sum, tallyOf } from './tally.ts';

const report = {
  numPassedTests: 3,
  numFailedTests: 1,
  numPendingTests: 1,
  numTodoTests: 1,
  numRuntimeErrorTestSuites: 2,
  testResults: [
    {
      assertionResults: [
        { status: 'passed', fullName: 'a' },
        { status: 'pending', fullName: 'b (skipped: no bpftool)' },
        { status: 'todo', fullName: 'c' },
      ],
    },
  ],
};

describe('tallyOf()', () => {
  it('counts a file that could not run as a failure, and todo as skipped', () => {
    expect(tallyOf(report)).toEqual({
      passed: 3,
      failed: 3,
      skipped: 2,
      skippedTitles: ['b (skipped: no bpftool)', 'c'],
    });
  });
});

describe('closingLine()', () => {
  it('is the sum of all tallies in the agreed words', () => {
    expect(closingLine(sum([tallyOf(report), tallyOf(report)]))).toBe('6 passed, 6 failed, 4 skipped');
    expect(closingLine(nothing)).toBe('0 passed, 0 failed, 0 skipped');
  });
});
