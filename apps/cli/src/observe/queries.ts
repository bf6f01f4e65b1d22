// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { messageToJson, type Timestamp } from '@weir/flow';
import { type observer, relay } from '@weir/proto';
import { checkedFlag } from '@weir/service';
import { table } from '@weir/terminal';
import type { Command } from 'commander';
import { parseTime } from './times.ts';
import { withObserver } from './with-observer.ts';

interface EventFlags {
  readonly last?: string;
  readonly follow?: boolean;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
}

const numberDefault = 20;

function requestOf({ last, follow, since, until }: EventFlags): observer.GetAgentEventsRequest.$Properties {
  const number = last === undefined ? (since || until ? 0 : numberDefault) : Number(last);
  return { number, follow: follow === true, ...(since ? { since } : {}), ...(until ? { until } : {}) };
}

function addEvents(
  observe: Command,
  what: { name: string; text: string; call: 'getAgentEvents' | 'getDebugEvents'; message: string },
): void {
  const { name, text, call, message } = what;
  const time = checkedFlag((given) => parseTime(given));
  observe
    .command(name)
    .description(`${text}, one JSON object a line`)
    .option('--last <number>', 'the last ones; 20 unless something else selects')
    .option('-f, --follow', 'go on with what comes')
    .option('--since <time>', 'from then on', time)
    .option('--until <time>', 'up to then', time)
    .action(async (flags: EventFlags, self: Command) =>
      withObserver(self, async (client, signal) => {
        for await (const event of client[call](requestOf(flags), { signal })) {
          if (!process.stdout.write(`${JSON.stringify(messageToJson(message, event))}\n`))
            await once(process.stdout, 'drain');
        }
      }),
    );
}

const rateOf = ({ seenFlows, uptimeNs }: observer.Node): string =>
  uptimeNs > 0 ? (seenFlows / (uptimeNs / 1e9)).toFixed(2) : 'N/A';

/** Adds what `hubble` has as commands of its own: events, status, nodes and namespaces. */
export function addObserverQueries(observe: Command): void {
  addEvents(observe, {
    ...{ name: 'agent-events', text: 'what the agent did', call: 'getAgentEvents' },
    message: 'observer.GetAgentEventsResponse',
  });
  addEvents(observe, {
    ...{ name: 'debug-events', text: 'what the datapath is debugged by', call: 'getDebugEvents' },
    message: 'observer.GetDebugEventsResponse',
  });
  observe
    .command('status')
    .description('how many flows there are, and of which nodes')
    .action(async (_flags: object, self: Command) =>
      withObserver(self, async (client) => {
        const { numFlows, maxFlows, seenFlows, flowsRate, version, ...nodes } = await client.serverStatus({});
        const share = maxFlows > 0 ? ` (${((100 * numFlows) / maxFlows).toFixed(2)}%)` : '';
        const lines = [
          `Current/Max Flows: ${numFlows}/${maxFlows}${share}`,
          `Seen Flows: ${seenFlows}`,
          `Flows/s: ${flowsRate.toFixed(2)}`,
          `Version: ${version}`,
        ];
        const { numConnectedNodes: connected, numUnavailableNodes: unavailable, unavailableNodes } = nodes;
        if (connected)
          lines.push(`Connected Nodes: ${connected.value}/${(connected.value ?? 0) + (unavailable?.value ?? 0)}`);
        if (unavailableNodes.length > 0) lines.push(`Unavailable Nodes: ${unavailableNodes.toSorted().join(', ')}`);
        process.stdout.write(`${lines.join('\n')}\n`);
      }),
    );
  observe
    .command('nodes')
    .description('the nodes behind a relay')
    .action(async (_flags: object, self: Command) =>
      withObserver(self, async (client) => {
        const { nodes } = await client.getNodes({});
        const rows = (nodes as observer.Node[])
          .toSorted((a, b) => a.name.localeCompare(b.name))
          .map((node) => [
            ...[node.name, relay.NodeState[node.state]?.replace('NODE_', '') ?? '', node.address, rateOf(node)],
            node.maxFlows > 0 ? `${node.numFlows}/${node.maxFlows}` : 'N/A',
          ]);
        process.stdout.write(table(['NAME', 'STATUS', 'ADDRESS', 'FLOWS/S', 'CURRENT/MAX FLOWS'], rows));
      }),
    );
  observe
    .command('namespaces')
    .description('namespaces that flows came from or went to in the last hour')
    .action(async (_flags: object, self: Command) =>
      withObserver(self, async (client) => {
        const { namespaces } = await client.getNamespaces({});
        process.stdout.write(
          table(
            ['NAMESPACE', 'CLUSTER'],
            namespaces.map(({ namespace, cluster }) => [namespace ?? '', cluster ?? '']),
          ),
        );
      }),
    );
}
