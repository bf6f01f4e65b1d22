// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util';
import { WeirError } from '@weir/errors';

/** What the user wants measured, and how it is to be told. */
export interface CommandLine {
  /** In the order of `partNames`, each once. */
  readonly parts: readonly string[];
  readonly output: 'table' | 'json';
  /** A Markdown file that gets the table, see `putMarkdown`. */
  readonly markdown?: string;
  readonly runs: number;
  readonly durationMs: number;
  readonly help: boolean;
}

/** What `--help` prints. */
export const usage = (partNames: readonly string[]): string => `Usage: bench [PART…] [options]

Measures against baselines in the same run, on this machine, as root. Without PART, everything.

Parts: ${partNames.join(', ')}

Options:
  --runs N         runs of each variant, turn by turn (default: 7)
  --ms N           how long a run of a network path or an HTTP server lasts (default: 1000)
  -o table|json    what is printed (default: table)
  --markdown FILE  also writes the table into FILE, between the lines that mark where
  -h, --help       display help

Exit status: 0 measured, 1 something could not be measured, 2 wrong usage, 130 interrupted.
`;

const count = (flag: string, text: string, max: number): number => {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new WeirError('INVALID_ARGUMENT', `${flag} is "${text}", expected an integer from 1 to ${max}`);
};

/** Rejects what it does not know with INVALID_ARGUMENT. */
export function parseCommandLine(args: readonly string[], partNames: readonly string[]): CommandLine {
  const { values, positionals } = parse(args);
  const { output } = values;
  const unknown = positionals.find((name) => !partNames.includes(name));
  if (unknown !== undefined) {
    const known = partNames.join(', ');
    throw new WeirError('INVALID_ARGUMENT', `PART is "${unknown}", expected one of: ${known}`);
  }
  if (output !== 'table' && output !== 'json') {
    throw new WeirError('INVALID_ARGUMENT', `--output is "${output}", expected table or json`);
  }
  return {
    parts: partNames.filter((name) => positionals.length === 0 || positionals.includes(name)),
    output,
    ...(values.markdown === undefined ? {} : { markdown: values.markdown }),
    runs: count('--runs', values.runs, 100),
    durationMs: count('--ms', values.ms, 60_000),
    help: values.help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        output: { type: 'string', short: 'o', default: 'table' },
        markdown: { type: 'string' },
        runs: { type: 'string', default: '7' },
        ms: { type: 'string', default: '1000' },
        help: { type: 'boolean', short: 'h', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    const { message } = WeirError.from(error);
    throw new WeirError('INVALID_ARGUMENT', message, { cause: error });
  }
}
