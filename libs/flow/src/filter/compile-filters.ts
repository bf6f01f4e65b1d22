// SPDX-License-Identifier: Apache-2.0
import { flow } from '@weir/proto';
import {
  clusterPredicate,
  identityPredicate,
  labelPredicate,
  podPredicate,
  servicePredicate,
  type Side,
  workloadPredicate,
} from './endpoint-predicates.ts';
import { compileExpression, httpPredicates } from './http-predicates.ts';
import { compileLabelSelector } from './label-selector.ts';
import { compileNamePattern, compileNodePattern } from './name-pattern.ts';
import {
  interfacePredicate,
  ipPredicate,
  portPredicate,
  protocolPredicate,
  tcpFlagsPredicate,
} from './packet-predicates.ts';
import { anyOf, type Flow, type Predicate, prefixed, refused } from './predicate.ts';

type Filter = flow.FlowFilter.$Properties;

const { Verdict } = flow;

function eventTypePredicate(entries: readonly flow.EventTypeFilter.$Properties[]): Predicate {
  return ({ eventType }) => {
    if (eventType === null || eventType === undefined) return false;
    const type = eventType.type ?? 0;
    const subType = eventType.subType ?? 0;
    return entries.some((each) => {
      if (each.type && each.type !== type) return false;
      return each.matchSubType !== true || (each.subType ?? 0) === subType;
    });
  };
}

function replyPredicate(wanted: readonly boolean[]): Predicate {
  return ({ isReply, verdict }) => {
    // Whether a dropped packet was a reply may not be known; it counts as none.
    if (isReply === null || isReply === undefined) return verdict === Verdict.DROPPED && wanted.includes(false);
    return wanted.includes(isReply.value ?? false);
  };
}

/** A test of one value that every flow has. */
function valuePredicate<Value>(wanted: readonly Value[], valueOf: (flow: Flow) => Value): Predicate {
  const values = new Set(wanted);
  return (flow) => values.has(valueOf(flow));
}

/** What costs next to nothing: numbers and short texts that are there without looking anything up. */
function cheapPredicates(filter: Filter): Predicate[] {
  const predicates: Predicate[] = [];
  const add = <Value>(values: readonly Value[] | null | undefined, make: (values: readonly Value[]) => Predicate) => {
    if (values?.length) predicates.push(make(values));
  };
  add(filter.verdict, (values) => valuePredicate(values, ({ verdict }) => verdict ?? 0));
  add(filter.eventType, eventTypePredicate);
  add(filter.dropReasonDesc, (values) => {
    const isReason = valuePredicate(values, ({ dropReasonDesc }) => dropReasonDesc ?? 0);
    return (each) => each.verdict === Verdict.DROPPED && isReason(each);
  });
  add(filter.trafficDirection, (values) => valuePredicate(values, ({ trafficDirection }) => trafficDirection ?? 0));
  add(filter.reply, replyPredicate);
  add(filter.protocol, protocolPredicate);
  add(filter.sourcePort, (values) => portPredicate('source', values));
  add(filter.destinationPort, (values) => portPredicate('destination', values));
  add(filter.sourceIdentity, (values) => identityPredicate('source', values));
  add(filter.destinationIdentity, (values) => identityPredicate('destination', values));
  add(filter.ipVersion, (values) => valuePredicate(values, ({ IP }) => IP?.ipVersion ?? 0));
  add(filter.encrypted, (values) => valuePredicate(values, ({ IP }) => IP?.encrypted ?? false));
  add(filter.tcpFlags, tcpFlagsPredicate);
  add(filter.interface, interfacePredicate);
  add(filter.uuid, (values) => valuePredicate(values, ({ uuid }) => uuid ?? ''));
  add(filter.traceId, (values) => valuePredicate(values, ({ traceContext }) => traceContext?.parent?.traceId ?? ''));
  add(filter.ipTraceId, (values) => valuePredicate(values, ({ ipTraceId }) => ipTraceId?.traceId ?? 0));
  add(filter.sourceIp, (values) => ipPredicate('source', values));
  add(filter.destinationIp, (values) => ipPredicate('destination', values));
  add(filter.sourceIpXlated, (values) => ipPredicate('sourceXlated', values));
  return predicates;
}

function endPredicates(filter: Filter, side: Side): Predicate[] {
  const isSource = side === 'source';
  const predicates: Predicate[] = [];
  const add = <Value>(
    values: readonly Value[] | null | undefined,
    make: (side: Side, values: readonly Value[]) => Predicate,
  ) => {
    if (values?.length) predicates.push(make(side, values));
  };
  add(isSource ? filter.sourcePod : filter.destinationPod, podPredicate);
  add(isSource ? filter.sourceService : filter.destinationService, servicePredicate);
  add(isSource ? filter.sourceLabel : filter.destinationLabel, labelPredicate);
  add(isSource ? filter.sourceWorkload : filter.destinationWorkload, workloadPredicate);
  add(isSource ? filter.sourceClusterName : filter.destinationClusterName, clusterPredicate);
  add(isSource ? filter.sourceFqdn : filter.destinationFqdn, (_side, patterns) => {
    const isName = anyOf(patterns.map(compileNamePattern));
    return ({ sourceNames, destinationNames }) => (isSource ? sourceNames : destinationNames)?.some(isName) ?? false;
  });
  return predicates;
}

function nodeAndDnsPredicates({ nodeName, nodeLabels, dnsQuery }: Filter): Predicate[] {
  const predicates: Predicate[] = [];
  if (nodeName?.length) {
    const isNode = anyOf(nodeName.map(compileNodePattern));
    predicates.push((each) => isNode(each.nodeName ?? ''));
  }
  if (nodeLabels?.length) {
    const isNode = prefixed('invalid node label filter: ', () => anyOf(nodeLabels.map(compileLabelSelector)));
    predicates.push((each) => isNode(each.nodeLabels ?? []));
  }
  if (dnsQuery?.length) {
    const isQuery = anyOf(
      dnsQuery.map((text) => compileExpression(text, 'invalid DNS query filter: failed to compile regexp: ')),
    );
    predicates.push(({ l7 }) => l7?.dns !== null && l7?.dns !== undefined && isQuery(l7.dns.query ?? ''));
  }
  return predicates;
}

/** Compiles one filter: all of its fields must match. */
function compileFilter(filter: Filter): Predicate {
  if (filter.experimental?.celExpression?.length) {
    throw refused('error compiling CEL expression: CEL expressions are not supported');
  }
  const predicates = [
    ...cheapPredicates(filter),
    ...endPredicates(filter, 'source'),
    ...endPredicates(filter, 'destination'),
    ...nodeAndDnsPredicates(filter),
    ...httpPredicates(filter),
  ];
  const [only, ...others] = predicates;
  if (only === undefined) return () => true;
  if (others.length === 0) return only;
  return (each) => predicates.every((predicate) => predicate(each));
}

/** The two lists of a request. */
export interface FilterLists {
  /** What is wanted: any of these; empty: everything. */
  readonly whitelist?: readonly Filter[] | null;
  /** What is not wanted, although it is on the other list. */
  readonly blacklist?: readonly Filter[] | null;
}

/**
 * Compiles the filters of a request into one test. Throws INVALID_ARGUMENT for the first thing in them that cannot be, in
 * the words that users of the `hubble` command line know. Rules: docs/reference/observe.md.
 */
export function compileFilters({ whitelist, blacklist }: FilterLists): Predicate {
  const wanted = (whitelist ?? []).map(compileFilter);
  const unwanted = (blacklist ?? []).map(compileFilter);
  if (unwanted.length === 0) return wanted.length === 0 ? () => true : anyOf(wanted);
  const isUnwanted = anyOf(unwanted);
  const isWanted = wanted.length === 0 ? () => true : anyOf(wanted);
  return (each) => isWanted(each) && !isUnwanted(each);
}
