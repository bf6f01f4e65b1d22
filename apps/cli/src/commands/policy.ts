// SPDX-License-Identifier: Apache-2.0
import { formatProblem, type PolicyProblem } from '@weir/policy';
import type { weir } from '@weir/proto';
import { onStdout, outputOption, type OutputFormat, print, progress } from '@weir/terminal';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { withAgent } from '../agent.ts';
import { bytesText } from '../bytes-text.ts';
import { readFiles, type TextFile } from '../read-files.ts';
import { addPolicySelectors, addPolicyTrace } from './policy-trace.ts';
import { addPolicyValidate } from './policy-validate.ts';

interface OutputFlags {
  readonly output: OutputFormat;
}

const messagesOf = (files: readonly TextFile[]): weir.agent.v1.IPolicyFile[] =>
  files.map(({ name, content }) => ({ name, content: new TextEncoder().encode(content) }));

/** Prints what is wrong, one problem a line; returns whether anything was. */
function hasProblems(problems: readonly weir.agent.v1.IPolicyProblem[]): boolean {
  for (const problem of problems) process.stderr.write(`${formatProblem(problem as PolicyProblem)}\n`);
  if (problems.length > 0) process.exitCode = 1;
  return problems.length > 0;
}

const selectedText = (endpoints: readonly number[]): string =>
  endpoints.length > 0 ? `selects endpoints ${endpoints.join(', ')}` : 'selects no endpoint here';

function policiesText(policies: readonly weir.agent.v1.IPolicy[]): string {
  if (policies.length === 0) return 'No policies: everything is allowed\n';
  return policies
    .map(({ kind, namespace, name, file, document, endpoints, selectsNode, traffic }) => {
      const selects = selectsNode ? 'selects this node' : selectedText(endpoints ?? []);
      const title = `# ${kind} ${namespace ? `${namespace}/` : ''}${name} from ${file}, ${selects}`;
      const saw = (traffic ?? []).map(
        ({ path, packets, bytes }) => `#   ${path}: ${packets} packets, ${bytesText(bytes ?? 0)}`,
      );
      return `${onStdout.dim([title, ...saw].join('\n'))}\n${stringify(JSON.parse(document ?? '{}'))}`;
    })
    .join('---\n');
}

/** Adds `policy import`, `get`, `delete`, `validate`, `trace` and `selectors`. */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('who may talk to whom');
  policy
    .command('import')
    .description('bring policies into force on this node, all or none; returns when they are')
    .argument('<file...>', 'YAML or JSON; - is standard input')
    .addOption(outputOption())
    .action(async (names: string[], { output }: OutputFlags, self: Command) => {
      const files = messagesOf(await readFiles(names));
      const response = await withAgent(self, (agent) => agent.importPolicy({ files }));
      if (output === 'json') print(output, response, String);
      if (hasProblems(response.problems)) return progress('Nothing was changed');
      if (output === 'table') for (const key of response.imported) progress(`Enforced: ${key}`);
    });
  policy
    .command('get')
    .description('the policies of this node')
    .argument('[name]', 'name or namespace/name')
    .addOption(outputOption())
    .action(async (name: string | undefined, { output }: OutputFlags, self: Command) => {
      const response = await withAgent(self, (agent) => agent.getPolicy({ name: name ?? '' }));
      print(output, response, () => policiesText(response.policies));
    });
  addDelete(policy);
  addPolicyValidate(policy);
  addPolicyTrace(policy);
  addPolicySelectors(policy);
}

function addDelete(policy: Command): void {
  policy
    .command('delete')
    .description('take policies out of force; returns when they are')
    .argument('[name...]', 'name or namespace/name')
    .option('-f, --file <file...>', 'whatever these files name')
    .option('--all', 'every policy', false)
    .addOption(outputOption())
    .action(
      async (
        names: string[],
        flags: OutputFlags & { readonly file?: string[]; readonly all: boolean },
        self: Command,
      ) => {
        if (names.length === 0 && flags.file === undefined && !flags.all) {
          self.error('error: expected names, --file or --all');
        }
        const files = messagesOf(await readFiles(flags.file ?? []));
        const response = await withAgent(self, (agent) => agent.deletePolicy({ names, files, all: flags.all }));
        if (flags.output === 'json') print('json', response, String);
        if (hasProblems(response.problems)) return progress('Nothing was changed');
        if (flags.output === 'table') for (const key of response.deleted) progress(`No longer enforced: ${key}`);
      },
    );
}
