// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { runCommand, type Argv, type CommandResult, type Lab } from '@weir/lab';

/** Where the programs are that the lab runs. */
export const distDirectory = process.env['WEIR_DIST'] ?? join(import.meta.dirname, '../../../../dist');

/** What `weir` is run as, by its own file. */
export const weirArgv = (args: readonly string[]): Argv => [process.execPath, join(distDirectory, 'weir.mjs'), ...args];

/** Without colours, and with the address of the lab's node. */
export const weirEnvironment = (lab: Lab): NodeJS.ProcessEnv => ({
  ...{ PATH: process.env['PATH'], HOME: '/root', NO_COLOR: '1' },
  WEIR_ADDRESS: `unix:${lab.paths.node('node1').agentSocket}`,
});

/** Runs `weir` as a user of the node does. */
export function weir(lab: Lab, args: readonly string[], input?: string): Promise<CommandResult> {
  return runCommand(weirArgv(args), { env: weirEnvironment(lab), ...(input !== undefined && { input }) });
}

/** Runs `weir lab` for the same lab. */
export function weirLab(lab: Lab, args: readonly string[]): Promise<CommandResult> {
  const env = { PATH: process.env['PATH'], HOME: '/root', NO_COLOR: '1', WEIR_LAB: lab.name };
  return runCommand([process.execPath, join(distDirectory, 'lab.mjs'), ...args], { env });
}

/** What `weir … -o json` prints. */
export async function weirJson<Value>(lab: Lab, ...args: readonly string[]): Promise<Value> {
  const { status, stdout, stderr } = await weir(lab, [...args, '-o', 'json']);
  if (status !== 0) throw new Error(`weir ${args.join(' ')} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Value;
}
