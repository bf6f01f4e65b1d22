// SPDX-License-Identifier: Apache-2.0
// testrun [--only unit|kernel|lab]… [-- JEST-ARGS…]: every kind of test in order; the last line is the sum.
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runJest } from './jest-run.ts';
import { kinds, thisMachine, titles, whyNot, type Kind } from './kind.ts';
import { closingLine, nothing, sum, type Tally } from './tally.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
// Many times what they take, for a machine that is busy with other things; all together less than CI may take.
const timeoutsMs: Readonly<Record<Kind, number>> = { unit: 20 * 60_000, kernel: 20 * 60_000, lab: 40 * 60_000 };

const { values, positionals } = parseArgs({
  options: { only: { type: 'string', multiple: true, default: [...kinds] } },
  allowPositionals: true,
});
const unknown = values.only.find((kind) => !kinds.some((known) => known === kind));
if (unknown !== undefined) {
  process.stderr.write(`--only is "${unknown}", expected one of ${kinds.join(', ')}\n`);
  process.exit(2);
}

const machine = thisMachine(root);
const tallies: Tally[] = [];
for (const kind of kinds.filter((candidate) => values.only.includes(candidate))) {
  const reason = whyNot(kind, machine);
  process.stdout.write(`\n==> ${titles[kind]}\n`);
  if (reason === undefined) {
    const say = (line: string): void => void process.stdout.write(`${line}\n`);
    tallies.push(await runJest({ root, kind, args: positionals, timeoutMs: timeoutsMs[kind], say }));
  } else {
    const exclude = (name: string): boolean => ['node_modules', 'dist'].includes(name);
    const files = globSync(`{apps,libs,tools,test,bench}/**/*.${kind}.test.ts`, { cwd: root, exclude });
    process.stdout.write(`Skipped, all ${files.length} files: ${reason}\n`);
    tallies.push({ ...nothing, skipped: files.length, skippedTitles: files.map((file) => `${file}: ${reason}`) });
  }
}

const total = sum(tallies);
process.stdout.write(
  total.skipped === 0 ? '\n' : `\nSkipped:\n${total.skippedTitles.map((t) => `  ${t}\n`).join('')}\n`,
);
process.stdout.write(`${closingLine(total)}\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
