// SPDX-License-Identifier: Apache-2.0
import { outputOption, print, progress } from '@weir/terminal';
import type { Command } from 'commander';
import type { PolicyOutcome } from '../lab/policy.ts';
import { readPolicyFiles } from '../lab/read-policy-files.ts';
import { labOf } from './command-context.ts';

interface OutputFlags {
  readonly output: 'table' | 'json';
}

/** Adds `policy apply` and `policy delete`. */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('change the policy of all nodes at once');
  policy
    .command('apply')
    .description('bring policies into force, all of them or none; returns when every node enforces them')
    .argument('<file...>', 'YAML or JSON; - is standard input')
    .addOption(outputOption())
    .action(async (names: string[], { output }: OutputFlags, self: Command) => {
      const outcome = await (await labOf(self)).applyPolicy(await readPolicyFiles(names));
      report(output, outcome, 'Enforced');
    });
  policy
    .command('delete')
    .description('take out of force what files name; returns when no node enforces it any more')
    .argument('[file...]', 'YAML or JSON; - is standard input')
    .option('--all', 'every policy')
    .addOption(outputOption())
    .action(async (names: string[], flags: OutputFlags & { readonly all?: boolean }, self: Command) => {
      if (names.length > 0 === (flags.all === true)) self.error('error: expected files, or --all');
      const selection = flags.all === true ? { all: true as const } : { files: await readPolicyFiles(names) };
      report(flags.output, await (await labOf(self)).deletePolicy(selection), 'No longer enforced');
    });
}

function report(output: 'table' | 'json', outcome: PolicyOutcome, verb: string): void {
  print(output, outcome, () => '');
  if (output === 'json') return;
  for (const policy of outcome.policies) progress(`${verb}: ${policy}`);
  if (outcome.policies.length === 0) progress('Nothing to change');
}
