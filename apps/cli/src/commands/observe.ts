// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { WeirError } from '@weir/errors';
import { createFlowPrinter, type Flow, flowFormats, messageToJson, timeFormats, type TimeFormat } from '@weir/flow';
import { flow, type observer } from '@weir/proto';
import { checkedFlag } from '@weir/service';
import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { addObserverQueries } from '../observe/queries.ts';
import { emptyPair, filterFlags, filterFromJson, type FilterPair } from '../observe/filter-flags.ts';
import { readResponses } from '../observe/read-responses.ts';
import { requestOf, type SelectionFlags } from '../observe/request.ts';
import { parseTime } from '../observe/times.ts';
import { serverOptions, withObserver } from '../observe/with-observer.ts';

interface ObserveFlags extends SelectionFlags {
  readonly inputFile?: string;
  readonly numeric?: boolean;
  readonly ipTranslation?: string;
  readonly printNodeName?: boolean;
  readonly printPolicyNames?: boolean;
  readonly printRawFilters?: boolean;
  readonly timeFormat: TimeFormat;
  readonly silentErrors?: boolean;
  readonly debug?: boolean;
  readonly color: 'auto' | 'always' | 'never';
}

interface Lists {
  readonly wanted: FilterPair;
  readonly unwanted: FilterPair;
}

const { Verdict } = flow;

const count = checkedFlag((text) => {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is no number of flows`);
});

function selectionOptions(): Option[] {
  return [
    new Option('--last <number>', 'the last ones; 20 unless something else selects').argParser(count),
    new Option('--first <number>', 'the first ones that are kept').argParser(count),
    new Option('--all', 'all that are kept'),
    new Option('-f, --follow', 'go on with what comes'),
    new Option('--since <time>', 'from then on: 5m, 2026-01-02, 2026-01-02T03:04:05Z').argParser(
      checkedFlag((text) => parseTime(text)),
    ),
    new Option('--until <time>', 'up to then').argParser(checkedFlag((text) => parseTime(text))),
    new Option('--input-file <file>', 'flows from JSON lines instead of a server; -: standard input'),
    new Option('--allowlist <json>', 'whole filter in JSON; repeatable'),
    new Option('--denylist <json>', 'whole filter in JSON of what is not wanted; repeatable'),
    new Option('--not', 'the next filter is of what is not wanted'),
  ];
}

function outputOptions(): Option[] {
  return [
    new Option('-o, --output <format>', 'form of the output').choices(flowFormats).default('compact'),
    new Option('--field-mask <fields>', 'only these fields, separated by commas; for JSON').argParser((text: string) =>
      text.split(','),
    ),
    new Option('--use-default-field-masks <bool>', 'ask only for what is printed')
      .choices(['true', 'false'])
      .default('true'),
    new Option('--numeric', 'addresses instead of names'),
    new Option('--ip-translation <bool>', 'names instead of addresses').choices(['true', 'false']).default('true'),
    new Option('--print-node-name', 'the node that saw it'),
    new Option('--print-policy-names', 'the policies that decided'),
    new Option('--print-raw-filters', 'the filters that the flags stand for, and no flows'),
    new Option('--time-format <format>', 'form of times').choices(Object.keys(timeFormats)).default('StampMilli'),
    new Option('-s, --silent-errors', 'say nothing of nodes that fail'),
    new Option('-D, --debug', 'also say which nodes are asked'),
    new Option('--color <when>', 'colours').choices(['auto', 'always', 'never']).default('auto'),
  ];
}

/** Filter flags count in the order in which they are given: `--not` is about the one behind it. */
function collectFilters(command: Command): Lists {
  const lists: Lists = { wanted: emptyPair(), unwanted: emptyPair() };
  let isNegated = false;
  const next = (): FilterPair => {
    const pair = isNegated ? lists.unwanted : lists.wanted;
    isNegated = false;
    return pair;
  };
  const inOrder = (flags: string, text: string, take: (value: string) => void): void => {
    const option = new Option(flags, text);
    command.addOption(option);
    command.on(`option:${option.name()}`, (value: string | null) => {
      try {
        take(value ?? '');
      } catch (error) {
        command.error(`error: option '${flags}' argument is invalid. ${WeirError.from(error).message}`, {
          exitCode: 2,
        });
      }
    });
  };
  for (const { flags, text, apply } of filterFlags) inOrder(flags, text, (value) => apply(next(), value));
  command.on('option:not', () => (isNegated = true));
  command.on('option:allowlist', (value: string) => lists.wanted.more.push(filterFromJson(value)));
  command.on('option:denylist', (value: string) => lists.unwanted.more.push(filterFromJson(value)));
  return lists;
}

function painter(color: ObserveFlags['color']): (verdict: string, each: Flow) => string {
  const { green, red, yellow } = pc.createColors(
    color === 'always' || (color === 'auto' && process.stdout.isTTY === true),
  );
  return (text, { verdict }) => {
    if (verdict === Verdict.FORWARDED || verdict === Verdict.REDIRECTED) return green(text);
    return verdict === Verdict.DROPPED || verdict === Verdict.ERROR ? red(text) : yellow(text);
  };
}

async function printAll(
  responses: AsyncIterable<observer.GetFlowsResponse.$Properties>,
  flags: ObserveFlags,
): Promise<void> {
  const printer = createFlowPrinter({
    ...{ format: flags.output, nodeNames: flags.printNodeName ?? false, timeFormat: flags.timeFormat },
    ...{ policyNames: flags.printPolicyNames ?? false, debug: flags.debug ?? false },
    ...{
      numeric: flags.numeric === true || flags.ipTranslation === 'false',
      silentErrors: flags.silentErrors ?? false,
    },
    paint: painter(flags.color),
  });
  for await (const response of responses) {
    const { out = '', error = '' } = printer.print(response);
    if (error !== '') process.stderr.write(error);
    // A reader that is slow makes us slow, and then the server loses flows for us and says how many.
    if (out !== '' && !process.stdout.write(out)) await once(process.stdout, 'drain');
  }
  process.stdout.write(printer.finish());
}

/** Adds `observe`, which prints flows with the flags and in the forms of `hubble observe`. */
export function addObserveCommand(program: Command): void {
  const observe = program.command('observe').description('flows: who talks to whom, what became of it, and why');
  for (const option of serverOptions()) observe.addOption(option);
  const flows = observe.command('flows', { isDefault: true }).description('packets, connections and calls');
  for (const option of [...selectionOptions(), ...outputOptions()]) flows.addOption(option);
  const filters = collectFilters(flows);
  flows.action(async (flags: ObserveFlags, self: Command) => {
    const request = requestOf(flags, filters);
    if (flags.printRawFilters === true) {
      const jsonOf = (filters: observer.GetFlowsRequest['whitelist'] | null | undefined) =>
        filters?.map((filter) => messageToJson('flow.FlowFilter', filter)) ?? [];
      const lists = { allowlist: jsonOf(request.whitelist), denylist: jsonOf(request.blacklist) };
      process.stdout.write(`${JSON.stringify(lists)}\n`);
      return;
    }
    if (flags.inputFile !== undefined) return printAll(readResponses(flags.inputFile, request), flags);
    await withObserver(self, (client, signal) => printAll(client.getFlows(request, { signal }), flags));
  });
  addObserverQueries(observe);
}
