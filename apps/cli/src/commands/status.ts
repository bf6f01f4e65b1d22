// SPDX-License-Identifier: Apache-2.0
import type { weir } from '@weir/proto';
import { onStdout, outputOption, type OutputFormat, print } from '@weir/terminal';
import type { Command } from 'commander';
import { withAgent } from '../agent.ts';

const colours: Readonly<Record<string, (text: string) => string>> = {
  Ok: onStdout.green,
  Warning: onStdout.yellow,
  Failure: onStdout.red,
};

const auditText = ({ policyAuditMode }: weir.agent.v1.GetStatusResponse): string =>
  policyAuditMode ? onStdout.yellow(', audit mode: what policies deny is let through, and reported') : '';

function statusText(status: weir.agent.v1.GetStatusResponse): string {
  const lines: [string, string][] = [
    ['Node', `${status.node} (weir ${status.version}, pid ${status.pid}, kernel ${status.kernel})`],
    ['Up since', new Date(status.startedMs).toISOString()],
    ...status.components.map(({ name, state, message }): [string, string] => [
      name ?? '',
      `${(colours[state ?? ''] ?? String)(state ?? '')}  ${message}`,
    ]),
    ['Endpoints', `${status.endpointsReady} of ${status.endpointsTotal} ready`],
    ['Identities', String(status.identities)],
    [
      'Policies',
      `${status.policies}, revision ${status.policyRevision}, enforcement ${status.policyEnforcement}${auditText(status)}`,
    ],
    ['IPv4', `${status.ipv4Range}, ${status.ipv4Allocated} in use`],
    ['IPv6', `${status.ipv6Range}, ${status.ipv6Allocated} in use`],
  ];
  return lines.map(([name, value]) => `${onStdout.bold(`${name}:`.padEnd(20))} ${value}\n`).join('');
}

/** Adds `status`. Exit status 1 when a part of the agent has failed. */
export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .description('how the agent and its parts are doing')
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      const status = await withAgent(self, (agent) => agent.getStatus({}));
      print(output, status, () => statusText(status));
      if (status.components.some(({ state }) => state === 'Failure')) process.exitCode = 1;
    });
}
