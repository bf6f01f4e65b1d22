// SPDX-License-Identifier: Apache-2.0
import { flow, type observer, relay } from '@weir/proto';
import type { Flow } from '../filter/predicate.ts';
import { messageToJson } from '../json/format-message.ts';
import type { Timestamp } from '../json/well-known.ts';
import { hostText, identityText, summaryText, type TextOptions, typeText, verdictText } from './flow-text.ts';
import { type TimeFormat, timeFormats } from './time-format.ts';

type Response = observer.GetFlowsResponse.$Properties;

/** The forms in which flows are printed. */
export const flowFormats = ['compact', 'dict', 'json', 'jsonpb', 'table'] as const;
export type FlowFormat = (typeof flowFormats)[number];

export interface PrinterOptions extends TextOptions {
  readonly format: FlowFormat;
  readonly nodeNames?: boolean;
  readonly timeFormat?: TimeFormat;
  /** Also nodes that are connected or gone. */
  readonly debug?: boolean;
  /** No word of nodes at all. */
  readonly silentErrors?: boolean;
  /** Marks a verdict; text as it is unless given. */
  readonly paint?: (verdict: string, each: Flow) => string;
}

/** Text for the two outputs; either may be empty. */
export interface Printed {
  readonly out?: string;
  readonly error?: string;
}

/** Turns responses into text. */
export interface FlowPrinter {
  print(response: Response): Printed;
  /** What is left to be printed at the end: a table knows its widths only then. */
  finish(): string;
}

type TimeText = (time: Timestamp | null | undefined) => string;

const { LostEventSource } = flow;
const { NodeState } = relay;

function columnsOf(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, at) => Math.max(cell.length, widest[at] ?? 0)),
    [],
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd((widths[at] ?? 0) + 3))).join('');
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** What is said of nodes; nothing of those that are well unless everything is to be told. */
function statusLine(
  { nodeStatus, time, nodeName }: Response,
  options: PrinterOptions & { readonly timeText: TimeText },
): string {
  const { stateChange, nodeNames, message } = nodeStatus ?? {};
  if (options.silentErrors === true) return '';
  const names = nodeNames ?? [];
  const count = names.length === 1 ? '1 node' : `${names.length} nodes`;
  const head = `${options.timeText(time)} [${nodeName ?? ''}]:`;
  const list = names.join(', ');
  if (stateChange === NodeState.NODE_ERROR)
    return `${head} Error ${JSON.stringify(message ?? '')} on ${count}: ${list}\n`;
  const verb = names.length === 1 ? 'is' : 'are';
  if (stateChange === NodeState.NODE_UNAVAILABLE) return `${head} ${count} ${verb} unavailable: ${list}\n`;
  if (options.debug !== true) return '';
  return `${head} ${count} ${verb} ${stateChange === NodeState.NODE_CONNECTED ? 'connected' : 'gone'}: ${list}\n`;
}

function lostText({ source, numEventsLost, cpu, first, last }: flow.LostEvent.$Properties, timeText: TimeText): string {
  const range = first && last ? ` (first: ${timeText(first)}, last: ${timeText(last)})` : '';
  const where = LostEventSource[source ?? 0] ?? String(source);
  return `EVENTS LOST: ${where} CPU(${cpu?.value ?? 0}) ${numEventsLost ?? 0}${range}`;
}

/** Makes a printer of one form. */
export function createFlowPrinter(options: PrinterOptions): FlowPrinter {
  const { format, nodeNames = false, timeFormat = 'StampMilli', paint = (verdict) => verdict } = options;
  const rows: string[][] = [];
  let printed = 0;

  const timeText: TimeText = (time) => (time === null || time === undefined ? 'N/A' : timeFormats[timeFormat](time));
  const nodeText = (node: string | null | undefined): string => (nodeNames ? ` [${node ?? ''}]` : '');

  const compact = (each: Flow): string => {
    const isReply = each.isReply?.value ?? undefined;
    const isSwapped = isReply === true;
    const arrow = each.isReply === null || each.isReply === undefined ? '<>' : isSwapped ? '<-' : '->';
    const [left, right] = isSwapped ? [each.destination, each.source] : [each.source, each.destination];
    const ends = [
      `${hostText(each, !isSwapped, options)} ${identityText(left)}`,
      arrow,
      `${hostText(each, isSwapped, options)} ${identityText(right)}`,
    ].join(' ');
    const verdict = paint(verdictText(each, options), each);
    return `${timeText(each.time)}${nodeText(each.nodeName)}: ${ends} ${typeText(each)} ${verdict} (${summaryText(each)})\n`;
  };
  const fieldsOf = (each: Flow): [string, string][] => [
    ['TIMESTAMP', timeText(each.time)],
    ...(nodeNames ? ([['NODE', each.nodeName ?? '']] as [string, string][]) : []),
    ['SOURCE', hostText(each, true, options)],
    ['DESTINATION', hostText(each, false, options)],
    ['TYPE', typeText(each)],
    ['VERDICT', verdictText(each, options)],
    ['SUMMARY', summaryText(each)],
  ];
  const dict = (fields: readonly [string, string][]): string => {
    const lines = fields.map(([name, value]) => `${name.padStart(11)}: ${value}\n`).join('');
    return `${printed++ === 0 ? '' : '------------\n'}${lines}`;
  };

  const printFlow = (each: Flow): string => {
    if (format === 'compact') return compact(each);
    if (format === 'dict') return dict(fieldsOf(each));
    if (rows.length === 0) rows.push(fieldsOf(each).map(([name]) => name));
    rows.push(fieldsOf(each).map(([, value]) => value));
    return '';
  };

  const printLost = ({ lostEvents, time, nodeName }: Response): string => {
    const text = lostText(lostEvents ?? {}, timeText);
    if (format === 'table') {
      rows.push([timeText(time), text]);
      return '';
    }
    if (format === 'dict')
      return dict([
        ['TIMESTAMP', timeText(time)],
        ['LOST', text],
      ]);
    return `${timeText(time)}${nodeText(nodeName)} ${text}\n`;
  };

  return {
    print(response) {
      const isJson = format === 'json' || format === 'jsonpb';
      if (response.nodeStatus) {
        if (!isJson) return { error: statusLine(response, { ...options, timeText }) };
        return options.silentErrors === true
          ? {}
          : { error: `${JSON.stringify(messageToJson('observer.GetFlowsResponse', response))}\n` };
      }
      if (!response.flow && !response.lostEvents) return {};
      if (isJson) return { out: `${JSON.stringify(messageToJson('observer.GetFlowsResponse', response))}\n` };
      return { out: response.flow ? printFlow(response.flow) : printLost(response) };
    },
    finish: () => columnsOf(rows.splice(0)),
  };
}
