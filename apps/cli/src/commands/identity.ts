// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { weir } from '@weir/proto';
import { checkedFlag } from '@weir/service';
import { outputOption, type OutputFormat, print, table } from '@weir/terminal';
import type { Command } from 'commander';
import { withAgent } from '../agent.ts';

type Identity = weir.agent.v1.IIdentity;

const rowsOf = ({ id, labels, endpoints }: Identity): string[][] => {
  const [first = '', ...rest] = labels ?? [];
  return [[String(id), String(endpoints?.length ?? 0), first], ...rest.map((label) => ['', '', label])];
};

const listText = (identities: readonly Identity[]): string =>
  table(['IDENTITY', 'ENDPOINTS', 'LABELS'], identities.toSorted((a, b) => (a.id ?? 0) - (b.id ?? 0)).flatMap(rowsOf));

function parseIdentity(text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not the number of an identity`);
}

/** Adds `identity list` and `identity get`. */
export function addIdentityCommands(program: Command): void {
  const identity = program.command('identity').description('label sets and their numbers');
  identity
    .command('list')
    .description('all that are known on this node, the reserved ones first')
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      const { identities } = await withAgent(self, (agent) => agent.listIdentities({}));
      print(output, identities, () => listText(identities));
    });
  identity
    .command('get')
    .description('one of them')
    .argument('<number>', 'as in the list', checkedFlag(parseIdentity))
    .addOption(outputOption())
    .action(async (id: number, { output }: { output: OutputFormat }, self: Command) => {
      const response = await withAgent(self, (agent) => agent.getIdentity({ id }));
      print(output, response.identity, () => listText([response.identity ?? {}]));
    });
}
