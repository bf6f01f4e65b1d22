// SPDX-License-Identifier: Apache-2.0
import { outputOption, print, progress, type OutputFormat } from '@weir/terminal';
import { constants } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { labOf } from './command-context.ts';

interface OutputFlags {
  readonly output: OutputFormat;
}

/** Adds `service stop` and `service start`. */
export function addServiceCommands(program: Command): void {
  const service = program
    .command('service')
    .description("take the lab's processes down and up; `weir lab status` lists them");
  service
    .command('stop')
    .description('end a process and keep it down')
    .argument('<service>', 'identity-allocator, node1/agent, node1/l7-proxy …')
    .option('--signal <signal>', 'with which signal', signal, 'SIGTERM')
    .addOption(outputOption())
    .action(async (name: string, flags: OutputFlags & { readonly signal: NodeJS.Signals }, self: Command) => {
      const status = await (await labOf(self)).stopService(name, flags.signal);
      print(flags.output, status, () => '');
      const { lastExit } = status;
      const how = lastExit?.signal ?? `exit status ${lastExit?.status ?? 'unknown'}`;
      progress(`${name} is down (${how})`);
    });
  service
    .command('start')
    .description('start a process that was stopped')
    .argument('<service>', 'identity-allocator, node1/agent, node1/l7-proxy …')
    .addOption(outputOption())
    .action(async (name: string, { output }: OutputFlags, self: Command) => {
      print(output, await (await labOf(self)).startService(name), () => '');
      progress(`${name} is starting`);
    });
}

function signal(text: string): NodeJS.Signals {
  const name = (text.startsWith('SIG') ? text : `SIG${text}`).toUpperCase();
  if (Object.hasOwn(constants.signals, name)) return name as NodeJS.Signals;
  throw new InvalidArgumentError('Expected the name of a signal, like TERM or KILL.');
}
