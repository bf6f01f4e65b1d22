// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { prepareCommands } from '@weir/terminal';
import { Command, CommanderError, Option } from 'commander';
import { defaultLabName } from '../lab/lab-paths.ts';
import { labNameOf } from './command-context.ts';
import { addExecCommand } from './exec-command.ts';
import { addLifecycleCommands } from './lifecycle-commands.ts';
import { addNamespaceCommands } from './namespace-commands.ts';
import { addPodCommands } from './pod-commands.ts';
import { addPolicyCommands } from './policy-commands.ts';
import { addServiceCommands } from './service-commands.ts';

const examples = `
A target is a pod (NAME, or NAMESPACE/NAME), @node1 (a node's own namespace), or @world (a host outside the cluster).

Examples:
  weir lab up                                        one node, ready for pods
  weir lab pod add web --labels app=web -- nginx -g 'daemon off;'
  weir lab pod add client --labels app=client
  weir lab exec client -- curl -sS http://10.244.1.2/
  weir lab policy apply examples/star-wars/l3-l4-policy.yaml
  weir lab pod label client app- role=admin
  weir lab namespace label default team=red          selectors of namespaces see it
  weir lab exec @world -- ping -c 1 10.244.1.2
  weir lab down                                      nothing of it stays

Exit status: 0 done, 1 failed, 2 wrong usage; with exec, that of the command.`;

/** Runs one command line. Wrong usage sets exit status 2; what a command fails with is thrown. */
export async function runCli(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync([...args], { from: 'user' });
  } catch (error) {
    // Commander has printed its own message, or the help that was asked for.
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  }
}

function createProgram(): Command {
  const program = new Command('weir lab')
    .description('Nodes and pods on this machine, made of network namespaces')
    .addOption(new Option('--name <lab>', 'which lab, of several').env('WEIR_LAB').default(defaultLabName))
    .addHelpText('after', examples)
    .hook('preAction', requireRoot);
  addLifecycleCommands(program);
  addPodCommands(program);
  addNamespaceCommands(program);
  addExecCommand(program);
  addPolicyCommands(program);
  addServiceCommands(program);
  program.command('supervise', { hidden: true }).action(async (_, command: Command) => {
    const { supervise } = await import('../supervisor/supervise.ts');
    await supervise(labNameOf(command));
  });
  prepareCommands(program);
  return program;
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new WeirError('PERMISSION_DENIED', 'The lab makes network namespaces and mounts: expected root');
}
