// SPDX-License-Identifier: Apache-2.0
import type { weir } from '@weir/proto';
import { outputOption, type OutputFormat, print, table } from '@weir/terminal';
import type { Command } from 'commander';
import { withAgent } from '../agent.ts';

type Node = weir.agent.v1.INode;

const reachText = ({ reach, via, reason }: weir.agent.v1.IPodRange): string =>
  [reach, via && `via ${via}`, reason && `(${reason})`].filter(Boolean).join(' ');

/** A line for each pod range, or for the node alone if it has none. */
function rowsOf({ name, isSelf, addresses, podRanges, endpointAddresses, labels }: Node): string[][] {
  const [first, ...rest] = podRanges ?? [];
  const head = [
    `${name ?? ''}${isSelf ? ' (this node)' : ''}`,
    (addresses ?? []).join(' '),
    String(endpointAddresses ?? 0),
  ];
  const tail = (range: weir.agent.v1.IPodRange | undefined): string[] =>
    range === undefined ? ['', ''] : [range.prefix ?? '', reachText(range)];
  return [[...head, ...tail(first), (labels ?? []).join(',')], ...rest.map((range) => ['', '', '', ...tail(range)])];
}

/** Adds `node list`. */
export function addNodeCommands(program: Command): void {
  program
    .command('node')
    .description('the nodes of the cluster')
    .command('list')
    .description('all that this node knows, and how it reaches their pods')
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }, self: Command) => {
      const { nodes } = await withAgent(self, (agent) => agent.listNodes({}));
      print(output, nodes, () =>
        table(['NODE', 'ADDRESSES', 'POD ADDRESSES', 'POD RANGES', 'REACHED', 'LABELS'], nodes.flatMap(rowsOf)),
      );
    });
}
