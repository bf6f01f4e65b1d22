// SPDX-License-Identifier: Apache-2.0
// bench [PART…] [-o json] [--runs N] [--ms N]: measures the parts and prints one table. A part is a file beside this one.
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { WeirError } from '@weir/errors';
import type { BenchPart } from './lib/figure.ts';
import { describeMachine } from './lib/machine.ts';
import { reportRow, reportTable, type ReportRow } from './lib/report.ts';

const { values, positionals } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'table' },
    runs: { type: 'string', default: '7' },
    ms: { type: 'string', default: '1000' },
  },
  allowPositionals: true,
});

const count = (flag: string, text: string, max: number): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  process.stderr.write(`${flag} is "${text}", expected an integer from 1 to ${max}\n`);
  process.exit(2);
};
const say = (line: string): void => void process.stderr.write(`    ${line}\n`);
const settings = { runs: count('--runs', values.runs, 100), durationMs: count('--ms', values.ms, 60_000), say };

const files = globSync('*.ts', { cwd: import.meta.dirname, exclude: ['main.ts', '*.test.ts'] }).toSorted();
const names = files.map((file) => basename(file, '.ts'));
const unknown = positionals.find((name) => !names.includes(name));
if (unknown !== undefined || !['table', 'json'].includes(values.output)) {
  process.stderr.write(`usage: bench [PART…] [-o table|json] [--runs N] [--ms N], PART one of: ${names.join(', ')}\n`);
  process.exit(2);
}

const rows: ReportRow[] = [];
const failures: { part: string; message: string }[] = [];
for (const name of names.filter((candidate) => positionals.length === 0 || positionals.includes(candidate))) {
  process.stderr.write(`==> ${name}\n`);
  try {
    const { part } = (await import(`./${name}.ts`)) as { part: BenchPart };
    rows.push(...(await part.run(settings)).map((figure) => reportRow(part.name, figure)));
  } catch (error) {
    // One part that cannot run must not hide what the others have measured.
    const { message } = WeirError.from(error);
    failures.push({ part: name, message });
    process.stderr.write(`    failed: ${message}\n`);
  }
}

const machine = describeMachine();
if (values.output === 'json') {
  process.stdout.write(
    `${JSON.stringify({ machine, settings: { runs: settings.runs, durationMs: settings.durationMs }, rows, failures })}\n`,
  );
} else {
  const { cpu, cpus, memoryGib, kernel, distribution, node } = machine;
  process.stdout.write(`\n${cpus} × ${cpu}, ${memoryGib} GiB, Linux ${kernel}, ${distribution}, Node.js ${node}\n`);
  process.stdout.write(`Median of ${settings.runs} runs turn by turn with the baseline\n\n${reportTable(rows)}`);
}
process.exitCode = failures.length === 0 ? 0 : 1;
