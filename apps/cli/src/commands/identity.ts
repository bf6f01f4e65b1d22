// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { IdentityAllocatorDefinition, type weir } from '@weir/proto';
import { createRpcClient, parseRpcAddress } from '@weir/rpc';
import { checkedFlag } from '@weir/service';
import { outputOption, type OutputFormat, print, table } from '@weir/terminal';
import { type Command, Option } from 'commander';
import { withAgent } from '../agent.ts';

type Identity = weir.agent.v1.IIdentity;
type ClusterIdentity = weir.identity.v1.IIdentity;

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

interface ListFlags {
  readonly all: boolean;
  readonly identityAllocator: string;
  readonly output: OutputFormat;
}

/** All identities of the cluster, page by page. */
async function listCluster(address: string): Promise<ClusterIdentity[]> {
  const allocator = createRpcClient(IdentityAllocatorDefinition, { address, deadlineMs: 30_000 });
  try {
    const found: ClusterIdentity[] = [];
    for (let more = true; more;) {
      const page = await allocator.listIdentities({ afterId: found.at(-1)?.id ?? 0 });
      found.push(...page.identities);
      ({ more } = page);
    }
    return found;
  } finally {
    allocator.close();
  }
}

const clusterText = (identities: readonly ClusterIdentity[]): string =>
  table(
    ['IDENTITY', 'NODES', 'LABELS'],
    identities.flatMap(({ id, references, labels }) => {
      const [first = '', ...rest] = labels ?? [];
      return [[String(id), String(references ?? 0), first], ...rest.map((label) => ['', '', label])];
    }),
  );

/** Adds `identity list` and `identity get`. */
export function addIdentityCommands(program: Command): void {
  const identity = program.command('identity').description('label sets and their numbers');
  identity
    .command('list')
    .description('all that are known on this node, the reserved ones first')
    .option('--all', 'ask the identity-allocator instead: all of the cluster, and how many nodes use each', false)
    .addOption(
      new Option('--identity-allocator <address>', 'for --all: unix:/path or host:port, several with commas in between')
        .env('WEIR_IDENTITY_ALLOCATOR')
        .default('unix:/run/weir/identity.sock')
        .argParser(checkedFlag((text) => (text.split(',').forEach(parseRpcAddress), text))),
    )
    .addOption(outputOption())
    .action(async ({ all, identityAllocator, output }: ListFlags, self: Command) => {
      if (all) {
        const everywhere = await listCluster(identityAllocator);
        print(output, everywhere, () => clusterText(everywhere));
        return;
      }
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
