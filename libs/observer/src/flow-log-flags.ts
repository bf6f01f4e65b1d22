// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { compileFilters, messageFromJson } from '@weir/flow';
import type { flow } from '@weir/proto';
import { checkedFlag } from '@weir/service';
import { Option } from 'commander';
import type { FlowLogOptions } from './flow-log.ts';

type Filter = flow.FlowFilter.$Properties;

/** What the flags of {@link flowLogFlags} say. */
export interface FlowLogFlags {
  readonly flowLog?: string;
  readonly flowLogAllow?: readonly Filter[];
  readonly flowLogDeny?: readonly Filter[];
  readonly flowLogSize: number;
  readonly flowLogFiles: number;
}

const refuse = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);
const bytesInMiB = 1 << 20;

const addFilter = checkedFlag((text, before: readonly Filter[] | undefined): readonly Filter[] => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw refuse(`"${text}" is not JSON; expected a filter, as in {"source_pod":["default/web"]}`);
  }
  const filter = messageFromJson<Filter>('flow.FlowFilter', json);
  compileFilters({ whitelist: [filter] });
  return [...(before ?? []), filter];
});

const numberTo = (max: number) =>
  checkedFlag((text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= 1 && number <= max) return number;
    throw refuse(`"${text}" is not a number from 1 to ${max}`);
  });

/** Where flows are written to, which, and how much of that is kept. */
export const flowLogFlags = (): readonly Option[] => [
  new Option('--flow-log <file>', 'file that flows are written to, as lines of JSON'),
  new Option('--flow-log-allow <filter>', 'which flows, as a FlowFilter in JSON; repeatable').argParser(addFilter),
  new Option('--flow-log-deny <filter>', 'which flows not; repeatable').argParser(addFilter),
  new Option('--flow-log-size <number>', 'MiB of one file').default(10).argParser(numberTo(1_048_576)),
  new Option('--flow-log-files <number>', 'files that are kept, the one that grows among them')
    .default(5)
    .argParser(numberTo(1_000)),
];

/** What is to be written; undefined: nothing. INVALID_ARGUMENT for filters of no log. */
export function flowLogFromFlags(
  flags: FlowLogFlags,
): Pick<FlowLogOptions, 'path' | 'filters' | 'bytesMax' | 'filesMax'> | undefined {
  const { flowLog: path, flowLogAllow: whitelist = [], flowLogDeny: blacklist = [] } = flags;
  if (path === undefined) {
    if (whitelist.length + blacklist.length === 0) return undefined;
    throw refuse('--flow-log-allow and --flow-log-deny need --flow-log, which they are about');
  }
  const filters = { whitelist: [...whitelist], blacklist: [...blacklist] };
  return { path, filters, bytesMax: flags.flowLogSize * bytesInMiB, filesMax: flags.flowLogFiles };
}
