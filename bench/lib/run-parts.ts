// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { BenchPart, BenchSettings } from './figure.ts';
import { reportRow, type ReportRow } from './report.ts';

/** Something that could not be measured. */
export interface BenchFailure {
  readonly part: string;
  /** Absent when it was the preparation of the part that failed. */
  readonly step?: string;
  readonly message: string;
}

/** All that was measured, and what was not. */
export interface BenchResult {
  readonly rows: readonly ReportRow[];
  readonly failures: readonly BenchFailure[];
  /** True when the signal was aborted before everything was measured. */
  readonly interrupted: boolean;
}

export interface RunPartsOptions extends Pick<BenchSettings, 'runs' | 'durationMs' | 'signal'> {
  readonly parts: readonly string[];
  readonly load: (name: string) => Promise<BenchPart>;
  /** Takes a line of progress. */
  readonly print: (line: string) => void;
}

/** Runs the parts one after the other. One that cannot run hides nothing that the others measure. */
export async function runParts(options: RunPartsOptions): Promise<BenchResult> {
  const { parts, load, print, runs, durationMs, signal } = options;
  const rows: ReportRow[] = [];
  const failures: BenchFailure[] = [];
  const startedMs = performance.now();
  const say = (line: string): void => print(`    ${line}`);
  const fail = (failure: BenchFailure): void => {
    failures.push(failure);
    say(`failed: ${failure.message}`);
  };
  for (const [index, name] of parts.entries()) {
    if (signal.aborted) break;
    print(
      `==> ${name} (${index + 1} of ${parts.length}, after ${Math.round((performance.now() - startedMs) / 1000)} s)`,
    );
    const step: BenchSettings['step'] = async (stepName, measure) => {
      signal.throwIfAborted();
      say(stepName);
      try {
        rows.push(...(await measure()).map((figure) => reportRow(name, figure)));
      } catch (error) {
        signal.throwIfAborted();
        fail({ part: name, step: stepName, message: WeirError.from(error).message });
      }
    };
    try {
      const part = await load(name);
      await part.run({ runs, durationMs, signal, say, step });
    } catch (error) {
      if (!signal.aborted) fail({ part: name, message: WeirError.from(error).message });
    }
  }
  return { rows, failures, interrupted: signal.aborted };
}
