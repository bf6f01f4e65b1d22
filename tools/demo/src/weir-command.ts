// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { runCommand, type Argv, type CommandResult } from '@weir/lab';

/** The `weir` command of this source tree, for one lab. */
export interface WeirCommand {
  /** A command line as it can be typed in the source tree. */
  text(args: readonly string[]): string;
  /** What to run for it, from any directory. */
  argv(args: readonly string[]): Argv;
  /** Runs it to its end. */
  run(args: readonly string[]): Promise<CommandResult>;
  /** Runs it with the streams of this process, and gives its exit status. */
  runVisibly(args: readonly string[]): Promise<number | null>;
}

// Nothing that is demonstrated takes longer.
const timeoutMs = 120_000;

/** Makes the command; `defaultLab` need not be named in what is typed. */
export function createWeirCommand(options: {
  readonly root: string;
  readonly lab: string;
  readonly defaultLab: string;
}): WeirCommand {
  const { root, lab, defaultLab } = options;
  const program = join(root, 'weir');
  const env = { ...process.env, WEIR_LAB: lab };
  const prefix = lab === defaultLab ? './weir' : `WEIR_LAB=${lab} ./weir`;
  return {
    text: (args) => [prefix, ...args.map(quoted)].join(' '),
    argv: (args) => [program, ...args],
    run: (args) => runCommand([program, ...args], { env, cwd: root, timeoutMs }),
    runVisibly: (args) =>
      new Promise((resolve, reject) => {
        const child = spawn(program, args, { env, cwd: root, stdio: 'inherit', timeout: timeoutMs });
        child.once('error', reject);
        child.once('exit', resolve);
      }),
  };
}

const quoted = (text: string): string =>
  /^[\w@%+=:,./[\]-]+$/.test(text) && !text.includes('[') ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
