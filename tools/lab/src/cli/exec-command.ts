// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Command } from 'commander';
import { createLabContext } from '../lab/lab-context.ts';
import { placeOf } from '../lab/target.ts';
import { enter } from '../machine/enter.ts';
import type { Argv } from '../machine/run-command.ts';
import { labNameOf } from './command-context.ts';

/** Adds `exec`. */
export function addExecCommand(program: Command): void {
  program
    .command('exec')
    .description('run a command in a pod, on a node (@node1) or on a host outside the cluster (@world)')
    .argument('<target>', 'NAME, NAMESPACE/NAME, @node1 or @world')
    .argument('<command...>', 'after --: the command and its arguments')
    .action(async function (this: Command, target: string, [file = '', ...args]: string[]) {
      becomeCommand(enter(await placeOf(createLabContext(labNameOf(this)), target), [file, ...args]));
    });
}

/** Makes this process the command: its exit status, its signals, its terminal and its streams are those of this one. */
function becomeCommand([file, ...args]: Argv): void {
  if (process.execve === undefined) {
    throw new WeirError('NOT_SUPPORTED', `Cannot run commands with Node.js ${process.version}: expected 24 or newer`);
  }
  for (const stream of [process.stdin, process.stdout, process.stderr]) makeBlocking(stream);
  process.execve(file, [file, ...args], process.env);
}

// Node.js makes pipes and sockets non-blocking as soon as somebody looks at its streams, and few programs expect that of
// theirs. There is no documented way back; where there is no handle, there is nothing to undo.
function makeBlocking(stream: object): void {
  const { _handle: handle } = stream as { readonly _handle?: { setBlocking?(blocking: boolean): void } };
  handle?.setBlocking?.(true);
}
