// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { checkedFlag } from '@weir/service';
import { jsonText, type OutputFormat, progress } from '@weir/terminal';
import { type Command, Option } from 'commander';
import { withAgent } from '../agent.ts';
import { monitorLine, parseMonitorType } from '../monitor-line.ts';

interface MonitorFlags {
  readonly type?: readonly string[];
  readonly relatedTo?: readonly string[];
  readonly output: OutputFormat;
}

/** Adds `monitor`, which prints events until it is interrupted. */
export function addMonitorCommand(program: Command): void {
  const collect = (text: string, previous: readonly string[] = []): readonly string[] => [...previous, text];
  program
    .command('monitor')
    .description('live: drops, verdicts, traces and HTTP calls of this node, from now on')
    .addOption(
      new Option('-t, --type <type>', 'drop, policy-verdict, trace or l7; repeatable').argParser(
        checkedFlag(parseMonitorType),
      ),
    )
    .addOption(
      new Option(
        '--related-to <endpoint>',
        'one end of the flow: number, namespace/pod or address; repeatable',
      ).argParser(collect),
    )
    .addOption(
      new Option('-o, --output <format>', 'lines for people, or one JSON object a line')
        .choices(['table', 'json'])
        .default('table'),
    )
    .action(async ({ type = [], relatedTo = [], output }: MonitorFlags, self: Command) => {
      const stopping = new AbortController();
      const stop = (): void => stopping.abort();
      process.once('SIGINT', stop).once('SIGTERM', stop);
      await withAgent(self, async (agent) => {
        if (output === 'table') progress('Watching; Ctrl-C ends it');
        const request = { types: [...type], relatedTo: relatedTo.map((reference) => ({ reference })) };
        try {
          for await (const event of agent.monitor(request, { signal: stopping.signal })) {
            const line = output === 'json' ? jsonText(event) : monitorLine(event);
            // A reader that is slow makes us slow, and then the agent drops events and says how many.
            if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain');
          }
        } catch (error) {
          if (!stopping.signal.aborted) throw error;
        }
      });
    });
}
