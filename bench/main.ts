// SPDX-License-Identifier: Apache-2.0
// bench: measures the parts and prints one table. A part is a file beside this one.
import { globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { WeirError } from '@weir/errors';
import { type CommandLine, parseCommandLine, usage } from './lib/command-line.ts';
import type { BenchPart } from './lib/figure.ts';
import { removeLeftovers } from './lib/leftovers.ts';
import { describeMachine } from './lib/machine.ts';
import { markdownReport, putMarkdown } from './lib/markdown-report.ts';
import { type BenchReport, describeRun, reportTable } from './lib/report.ts';
import { runParts } from './lib/run-parts.ts';

const files = globSync('*.ts', { cwd: import.meta.dirname, exclude: ['main.ts', '*.test.ts'] }).toSorted();
const partNames = files.map((file) => basename(file, '.ts'));
const priority = -10;
const print = (line: string): void => void process.stderr.write(`${line}\n`);

/** The first signal ends what is under way and cleans up; a second one ends at once. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(130);
      print(`    ${signal}: cleaning up; once more to leave it all as it is`);
      controller.abort(new WeirError('CANCELLED', 'The benchmark was interrupted'));
    });
  }
  return controller.signal;
}

async function writeReport(path: string, report: BenchReport): Promise<void> {
  const before = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  await writeFile(path, putMarkdown(before, markdownReport(report)));
  print(`==> Wrote ${path}`);
}

async function main({ parts, output, markdown, runs, durationMs }: CommandLine): Promise<number> {
  const signal = interruption();
  const machine = describeMachine();
  const date = new Date().toISOString();
  // For all that is started from here, labs included: what else runs on the machine is not to be measured.
  setPriority(priority);
  await removeLeftovers();
  const load = async (name: string): Promise<BenchPart> => ((await import(`./${name}.ts`)) as { part: BenchPart }).part;
  const { rows, failures, interrupted } = await runParts({ parts, runs, durationMs, signal, load, print });
  const report: BenchReport = { date, machine, settings: { runs, durationMs }, rows, failures };
  if (output === 'json') process.stdout.write(`${JSON.stringify(report)}\n`);
  else process.stdout.write(`\n${describeRun(report)}\n\n${reportTable(rows)}`);
  if (interrupted) return 130;
  if (markdown !== undefined) await writeReport(markdown, report);
  return failures.length === 0 ? 0 : 1;
}

try {
  const commandLine = parseCommandLine(process.argv.slice(2), partNames);
  if (commandLine.help) process.stdout.write(usage(partNames));
  else process.exitCode = await main(commandLine);
} catch (thrown) {
  const error = WeirError.from(thrown);
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = error.code === 'INVALID_ARGUMENT' ? 2 : 1;
}
