// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { messageFromJson, messageToJson, monitorTypes, tracePoints } from '@weir/flow';
import { reservedIdentity } from '@weir/model';
import { flow } from '@weir/proto';

type Filter = flow.FlowFilter.$Properties;

/** Takes a value of a flag into the two filters of a list: `left` is about the source, `right` about the destination. */
type Apply = (pair: FilterPair, value: string) => void;

/** One list of filters in the making. A flow fits if it fits one of the two. */
export interface FilterPair {
  readonly left: Filter;
  readonly right: Filter;
  /** Whole filters in their JSON form. */
  readonly more: Filter[];
  /** Either end must be in one of these, and names without a namespace are in the first of them. */
  readonly namespaces: string[];
}

/** A filter flag of the command line. */
export interface FilterFlag {
  readonly flags: string;
  readonly text: string;
  readonly apply: Apply;
  /** Has no value of its own. */
  readonly isSwitch?: boolean;
}

type Lists = { [Name in keyof Filter]-?: NonNullable<Filter[Name]> extends readonly (infer Item)[] ? Item : never };

const invalid = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

function put<Name extends keyof Lists>(filter: Filter, name: Name, item: Lists[Name]): void {
  const lists = filter as Record<Name, Lists[Name][] | undefined>;
  (lists[name] ??= []).push(item);
}

const both =
  <Name extends keyof Lists>(name: Name, convert: (text: string) => Lists[Name]): Apply =>
  ({ left, right }, value) => {
    const item = convert(value);
    put(left, name, item);
    put(right, name, item);
  };

/** `--X`: the one end or the other; `--from-X` and `--to-X`: this end. */
function endFlags<Source extends keyof Lists, Destination extends keyof Lists>(options: {
  readonly name: string;
  readonly short?: string;
  readonly value: string;
  readonly text: string;
  readonly source: Source;
  readonly destination: Destination;
  readonly convert: (text: string) => Lists[Source] & Lists[Destination];
}): FilterFlag[] {
  const { name, short = '', value, text, source, destination, convert } = options;
  return [
    {
      flags: `${short}--${name} <${value}>`,
      text,
      apply({ left, right }, given) {
        put(left, source, convert(given));
        put(right, destination, convert(given));
      },
    },
    { flags: `--from-${name} <${value}>`, text: `${text}, as source`, apply: both(source, convert) },
    { flags: `--to-${name} <${value}>`, text: `${text}, as destination`, apply: both(destination, convert) },
  ];
}

const asIs = (text: string): string => text;

function enumOf(table: object, what: string): (text: string) => number {
  const names = Object.keys(table).filter((name) => !/^\d+$/.test(name));
  return (text) => {
    const name = text.toUpperCase().replaceAll('-', '_');
    const number =
      (table as Readonly<Record<string, number>>)[name] ?? (table as Readonly<Record<string, number>>)[text];
    if (typeof number !== 'number') throw invalid(`"${text}" is no ${what}; expected one of ${names.join(', ')}`);
    return number;
  };
}

function identityOf(text: string): number {
  const reserved = (reservedIdentity as Readonly<Record<string, number>>)[text];
  if (reserved !== undefined) return reserved;
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw invalid(`"${text}" is neither a number nor a reserved identity (${Object.keys(reservedIdentity).join(', ')})`);
}

function subTypeOf(type: number, text: string): number {
  const point = type === monitorTypes['trace'] ? tracePoints.indexOf(text) : -1;
  if (point >= 0) return point;
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw invalid(
    `"${text}" is no sub-type; expected a number${type === 4 ? ` or one of ${tracePoints.join(', ')}` : ''}`,
  );
}

/** `drop`, `trace:to-endpoint`, `129:0`. */
export function eventTypeOf(text: string): flow.EventTypeFilter.$Properties {
  const [name = '', sub] = text.split(':');
  const type = monitorTypes[name] ?? (/^\d{1,3}$/.test(name) ? Number(name) : undefined);
  if (type === undefined)
    throw invalid(`"${name}" is no type; expected one of ${Object.keys(monitorTypes).join(', ')}`);
  return sub === undefined ? { type } : { type, matchSubType: true, subType: subTypeOf(type, sub) };
}

function tcpFlagsOf(text: string): flow.TCPFlags.$Properties {
  const known = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'];
  const names = text.split(',').map((name) => name.trim().toUpperCase());
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(`"${unknown}" is no TCP flag; expected some of ${known.join(', ')}`);
  return Object.fromEntries(names.map((name) => [name, true]));
}

function ipVersionOf(text: string): number {
  const version = { none: 0, v4: 1, ipv4: 1, '4': 1, v6: 2, ipv6: 2, '6': 2 }[text.toLowerCase()];
  if (version === undefined) throw invalid(`"${text}" is no IP version; expected none, 4 or 6`);
  return version;
}

function workloadOf(text: string): flow.Workload.$Properties {
  const slash = text.indexOf('/');
  return slash < 0 ? { name: text } : { kind: text.slice(0, slash), name: text.slice(slash + 1) };
}

function headerOf(text: string): flow.HTTPHeader.$Properties {
  const colon = text.indexOf(':');
  if (colon < 1) throw invalid(`"${text}" is no header; expected name:value`);
  return { key: text.slice(0, colon), value: text.slice(colon + 1).trim() };
}

const ends = [
  ...endFlags({
    name: 'pod',
    value: 'pod',
    text: 'pod by [namespace/]prefix',
    source: 'sourcePod',
    destination: 'destinationPod',
    convert: asIs,
  }),
  ...endFlags({
    name: 'ip',
    value: 'address',
    text: 'address or prefix',
    source: 'sourceIp',
    destination: 'destinationIp',
    convert: asIs,
  }),
  ...endFlags({
    name: 'fqdn',
    value: 'pattern',
    text: 'DNS name, * for any part',
    source: 'sourceFqdn',
    destination: 'destinationFqdn',
    convert: asIs,
  }),
  ...endFlags({
    name: 'label',
    short: '-l, ',
    value: 'selector',
    text: 'labels, as in app=web,tier!=db',
    source: 'sourceLabel',
    destination: 'destinationLabel',
    convert: asIs,
  }),
  ...endFlags({
    name: 'service',
    value: 'service',
    text: 'service by [namespace/]prefix',
    source: 'sourceService',
    destination: 'destinationService',
    convert: asIs,
  }),
  ...endFlags({
    name: 'port',
    value: 'port',
    text: 'port number',
    source: 'sourcePort',
    destination: 'destinationPort',
    convert: asIs,
  }),
  ...endFlags({
    name: 'identity',
    value: 'identity',
    text: 'identity: number or reserved name',
    source: 'sourceIdentity',
    destination: 'destinationIdentity',
    convert: identityOf,
  }),
  ...endFlags({
    name: 'workload',
    value: 'workload',
    text: 'workload by [kind/]name',
    source: 'sourceWorkload',
    destination: 'destinationWorkload',
    convert: workloadOf,
  }),
  ...endFlags({
    name: 'cluster',
    value: 'cluster',
    text: 'cluster',
    source: 'sourceClusterName',
    destination: 'destinationClusterName',
    convert: asIs,
  }),
];

const namespaceFlags: readonly FilterFlag[] = [
  {
    flags: '-n, --namespace <namespace>',
    text: 'namespace at either end',
    apply: ({ namespaces }, value) => void namespaces.push(value),
  },
  {
    flags: '--from-namespace <namespace>',
    text: 'namespace, as source',
    apply: both('sourcePod', (text) => `${text}/`),
  },
  {
    flags: '--to-namespace <namespace>',
    text: 'namespace, as destination',
    apply: both('destinationPod', (text) => `${text}/`),
  },
];

const others: readonly FilterFlag[] = [
  {
    flags: '-A, --all-namespaces',
    text: 'pods of any namespace',
    isSwitch: true,
    apply: ({ left, right }) => (put(left, 'sourcePod', '/'), put(right, 'destinationPod', '/')),
  },
  {
    flags: '-t, --type <type[:sub]>',
    text: 'drop, trace[:point], policy-verdict, l7, capture, trace-sock',
    apply: both('eventType', eventTypeOf),
  },
  {
    flags: '--verdict <verdict>',
    text: 'FORWARDED, DROPPED, REDIRECTED, AUDIT, ERROR …',
    apply: both('verdict', enumOf(flow.Verdict, 'verdict')),
  },
  {
    flags: '--drop-reason-desc <reason>',
    text: 'reason of a drop, as in POLICY_DENIED',
    apply: both('dropReasonDesc', enumOf(flow.DropReason, 'drop reason')),
  },
  {
    flags: '--traffic-direction <direction>',
    text: 'ingress or egress',
    apply: both('trafficDirection', enumOf(flow.TrafficDirection, 'direction')),
  },
  {
    flags: '--protocol <protocol>',
    text: 'tcp, udp, sctp, icmp, icmpv4, icmpv6, http …',
    apply: both('protocol', asIs),
  },
  { flags: '--tcp-flags <flags>', text: 'all of these, as in syn,ack', apply: both('tcpFlags', tcpFlagsOf) },
  { flags: '--ip-version <version>', text: 'none, 4 or 6', apply: both('ipVersion', ipVersionOf) },
  {
    flags: '-4, --ipv4',
    text: 'only IPv4',
    isSwitch: true,
    apply: (pair) => both('ipVersion', ipVersionOf)(pair, '4'),
  },
  {
    flags: '-6, --ipv6',
    text: 'only IPv6',
    isSwitch: true,
    apply: (pair) => both('ipVersion', ipVersionOf)(pair, '6'),
  },
  { flags: '--http-status <code>', text: 'status, or its beginning as in 5+', apply: both('httpStatusCode', asIs) },
  { flags: '--http-method <method>', text: 'method', apply: both('httpMethod', asIs) },
  { flags: '--http-path <regex>', text: 'path', apply: both('httpPath', asIs) },
  { flags: '--http-url <regex>', text: 'URL', apply: both('httpUrl', asIs) },
  { flags: '--http-header <name:value>', text: 'header', apply: both('httpHeader', headerOf) },
  { flags: '--node-name <pattern>', text: 'node that saw it', apply: both('nodeName', asIs) },
  { flags: '--node-label <selector>', text: 'labels of that node', apply: both('nodeLabels', asIs) },
  { flags: '--interface <name>', text: 'device that it came from', apply: both('interface', (name) => ({ name })) },
  { flags: '--snat-ip <address>', text: 'source address after translation', apply: both('sourceIpXlated', asIs) },
  { flags: '--uuid <uuid>', text: 'one flow', apply: both('uuid', asIs) },
  { flags: '--trace-id <id>', text: 'trace that it is part of', apply: both('traceId', asIs) },
  { flags: '--ip-trace-id <number>', text: 'trace id in an IP option', apply: both('ipTraceId', identityOf) },
  {
    flags: '--encrypted',
    text: 'only what was encrypted',
    isSwitch: true,
    apply: (pair) => both('encrypted', () => true)(pair, ''),
  },
  {
    flags: '--unencrypted',
    text: 'only what was not',
    isSwitch: true,
    apply: (pair) => both('encrypted', () => false)(pair, ''),
  },
  {
    flags: '--cel-expression <expression>',
    text: 'refused by Weir’s own servers',
    apply({ left, right }, value) {
      for (const filter of [left, right]) (filter.experimental ??= { celExpression: [] }).celExpression?.push(value);
    },
  },
];

/** All filter flags of `observe`, in the order of its help. */
export const filterFlags: readonly FilterFlag[] = [...ends, ...namespaceFlags, ...others];

/** A pair that nothing has been put into. */
export const emptyPair = (): FilterPair => ({ left: {}, right: {}, more: [], namespaces: [] });

/** Reads a whole filter in its JSON form. */
export function filterFromJson(text: string): Filter {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid(`"${text}" is not JSON; expected a filter, as in {"source_pod":["default/web"]}`);
  }
  return messageFromJson<Filter>('flow.FlowFilter', json);
}

const isEmpty = (filter: Filter): boolean => Object.keys(filter).length === 0;

/** Puts names that have no namespace into one, or, where an end is not named at all, the end itself. */
function inNamespaces(filter: Filter, side: 'source' | 'destination', namespaces: readonly string[]): void {
  const [first] = namespaces;
  if (first === undefined) return;
  const pods = side === 'source' ? filter.sourcePod : filter.destinationPod;
  const services = side === 'source' ? filter.sourceService : filter.destinationService;
  const placed = (name: string): string => (name.includes('/') ? name : `${first}/${name}`);
  if (services?.length) services.splice(0, services.length, ...services.map(placed));
  if (pods?.length) pods.splice(0, pods.length, ...pods.map(placed));
  if (pods?.length || services?.length) return;
  for (const namespace of namespaces) put(filter, side === 'source' ? 'sourcePod' : 'destinationPod', `${namespace}/`);
}

/** The filters of a list: none, one or two, and those that were given whole. */
export function filtersOf({ left, right, more, namespaces }: FilterPair): Filter[] {
  inNamespaces(left, 'source', namespaces);
  inNamespaces(right, 'destination', namespaces);
  const isSame =
    JSON.stringify(messageToJson('flow.FlowFilter', left)) === JSON.stringify(messageToJson('flow.FlowFilter', right));
  return [...(isSame ? [left] : [left, right]).filter((filter) => !isEmpty(filter)), ...more];
}
