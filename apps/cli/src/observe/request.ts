// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { FlowFormat, Timestamp } from '@weir/flow';
import type { observer } from '@weir/proto';
import { type FilterPair, filtersOf } from './filter-flags.ts';

/** What of `observe` says which flows are wanted. */
export interface SelectionFlags {
  readonly first?: number;
  readonly last?: number;
  readonly all?: boolean;
  readonly follow?: boolean;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
  readonly fieldMask?: readonly string[];
  readonly useDefaultFieldMasks?: string;
  readonly output: FlowFormat;
}

const numberDefault = 20;
/** More than any ring holds; what `hubble observe --all` sends. */
const everything = 2 ** 64 - 2 ** 11;

// What is needed to print a line; anything else need not be sent.
const linePaths: readonly string[] = [
  ...['time', 'verdict', 'ethernet', 'IP', 'l4', 'Type', 'node_name', 'l7', 'event_type', 'is_reply', 'Summary'],
  ...['source.identity', 'source.namespace', 'source.pod_name', 'source_names', 'source_service'],
  ...[
    'destination.identity',
    'destination.namespace',
    'destination.pod_name',
    'destination_names',
    'destination_service',
  ],
  ...['ip_trace_id', 'traffic_direction', 'policy_match_type', 'debug_capture_point', 'sock_xlate_point', 'auth_type'],
  ...['egress_allowed_by', 'ingress_allowed_by', 'egress_denied_by', 'ingress_denied_by'],
];

const invalid = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);
const isJson = (output: FlowFormat): boolean => output === 'json' || output === 'jsonpb';

function check({ first, last, all, follow, output, fieldMask }: SelectionFlags): void {
  const refuse = (isRefused: boolean, pair: string): void => {
    if (isRefused) throw invalid(`${pair} exclude each other`);
  };
  refuse(first !== undefined && last !== undefined, '--first and --last');
  refuse(first !== undefined && all === true, '--first and --all');
  refuse(last !== undefined && all === true, '--last and --all');
  refuse(first !== undefined && follow === true, '--first and --follow');
  if (output === 'table' && follow === true) throw invalid('--output table needs an end, which --follow has not');
  if (fieldMask !== undefined && !isJson(output)) throw invalid('--field-mask is for --output json');
}

/** How many are asked for: 20, unless something else says where to begin or to end. */
function numberOf({ first, last, all, follow, since, until }: SelectionFlags): number {
  if (all === true) return everything;
  return first ?? last ?? (follow === true || since !== undefined || until !== undefined ? 0 : numberDefault);
}

function maskOf({ output, fieldMask, useDefaultFieldMasks }: SelectionFlags): readonly string[] {
  if (isJson(output)) return fieldMask ?? [];
  return useDefaultFieldMasks === 'false' ? [] : linePaths;
}

/** The request that a command line stands for; INVALID_ARGUMENT for flags that exclude each other. */
export function requestOf(
  flags: SelectionFlags,
  { wanted, unwanted }: { readonly wanted: FilterPair; readonly unwanted: FilterPair },
): observer.GetFlowsRequest.$Properties {
  check(flags);
  const paths = maskOf(flags);
  const { since, until, follow } = flags;
  return {
    number: numberOf(flags),
    first: flags.first !== undefined,
    follow: follow === true,
    whitelist: filtersOf(wanted),
    blacklist: filtersOf(unwanted),
    ...(since === undefined ? {} : { since }),
    // A stream that begins at a time goes on until it is interrupted.
    ...(until === undefined || (follow === true && since !== undefined) ? {} : { until }),
    ...(paths.length === 0 ? {} : { fieldMask: { paths: [...paths] } }),
  };
}
