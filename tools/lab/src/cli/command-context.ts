// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import type { Lab } from '../lab/lab.ts';

/** Name of the lab that a command is about. */
export const labNameOf = (command: Command): string => command.optsWithGlobals<{ name: string }>().name;

/** The lab that a command is about. What it takes to talk to agents is loaded only now: `exec` is to be quick. */
export async function labOf(command: Command): Promise<Lab> {
  const { createLab } = await import('../lab/lab.ts');
  return createLab({ name: labNameOf(command) });
}
