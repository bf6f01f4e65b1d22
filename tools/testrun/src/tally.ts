// SPDX-License-Identifier: Apache-2.0

/** Results of tests, to be added up. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Titles of the skipped ones, in which their reason stands. */
  readonly skippedTitles: readonly string[];
}

/** The part of Jest's JSON report that is read here. */
export interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  /** Files that failed before a test of theirs ran. */
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** No test at all. */
export const nothing: Tally = { passed: 0, failed: 0, skipped: 0, skippedTitles: [] };

/** A file that could not be run counts as one failed test: it must not vanish from the sum. */
export function tallyOf(report: JestReport): Tally {
  const results = report.testResults.flatMap((file) => file.assertionResults);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + report.numRuntimeErrorTestSuites,
    skipped: report.numPendingTests + report.numTodoTests,
    skippedTitles: results
      .filter(({ status }) => status === 'pending' || status === 'todo')
      .map((test) => test.fullName),
  };
}

/** The sum of all. */
export function sum(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (total, one) => ({
      passed: total.passed + one.passed,
      failed: total.failed + one.failed,
      skipped: total.skipped + one.skipped,
      skippedTitles: [...total.skippedTitles, ...one.skippedTitles],
    }),
    nothing,
  );
}

/** The closing line, which machines read too: keep it to the letter. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
