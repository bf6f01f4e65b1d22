// SPDX-License-Identifier: Apache-2.0
import type { flow } from '@weir/proto';
import { compileLabelSelector } from './label-selector.ts';
import { anyOf, type Flow, type FlowEndpoint, type Predicate, prefixed, refused } from './predicate.ts';

/** Which end of a flow a filter is about. */
export type Side = 'source' | 'destination';

const endOf = (side: Side, { source, destination }: Flow): FlowEndpoint | null | undefined =>
  side === 'source' ? source : destination;

type NamedThing = { readonly namespace?: string | null; readonly name?: string | null };

/** `name`, `namespace/name`, `namespace/`, `/name` and `/`, where the name is a prefix. */
function compileNamespacedName(pattern: string): (thing: NamedThing) => boolean {
  if (pattern === '') throw refused('invalid filter, name must not be empty');
  const [first = '', second] = pattern.split('/');
  const namespace = second === undefined ? 'default' : first;
  const prefix = second ?? first;
  return (thing) => {
    const at = { namespace: thing.namespace ?? '', name: thing.name ?? '' };
    if (at.namespace === '' && at.name === '') return false;
    return (namespace === '' || at.namespace === namespace) && at.name.startsWith(prefix);
  };
}

/**
 * Remembers what was found of an end. A node hands out one and the same object for all flows of a pod, so that an
 * expensive test is made once for each pod and not once for each flow.
 */
function remembered(test: (end: FlowEndpoint) => boolean): (end: FlowEndpoint) => boolean {
  const known = new WeakMap<FlowEndpoint, boolean>();
  return (end) => {
    const before = known.get(end);
    if (before !== undefined) return before;
    const result = test(end);
    known.set(end, result);
    return result;
  };
}

const ofEnd =
  (side: Side, test: (end: FlowEndpoint) => boolean): Predicate =>
  (flow) => {
    const end = endOf(side, flow);
    return end !== null && end !== undefined && test(end);
  };

/** Filters by the pod at one end. */
export function podPredicate(side: Side, patterns: readonly string[]): Predicate {
  const isPod = anyOf(patterns.map(compileNamespacedName));
  return ofEnd(
    side,
    remembered(({ namespace, podName }) => isPod({ namespace: namespace ?? '', name: podName ?? '' })),
  );
}

/** Filters by the service at one end. */
export function servicePredicate(side: Side, patterns: readonly string[]): Predicate {
  const isService = prefixed(`invalid ${side} service filter: `, () => anyOf(patterns.map(compileNamespacedName)));
  return ({ sourceService, destinationService }) =>
    isService((side === 'source' ? sourceService : destinationService) ?? {});
}

/** Filters by the labels at one end; each selector is complete in itself. */
export function labelPredicate(side: Side, selectors: readonly string[]): Predicate {
  const isWanted = prefixed(`invalid ${side} label filter: `, () => anyOf(selectors.map(compileLabelSelector)));
  const test = remembered(({ labels }) => isWanted(labels ?? []));
  const ofNobody = isWanted([]);
  return (flow) => {
    const end = endOf(side, flow);
    return end === null || end === undefined ? ofNobody : test(end);
  };
}

/** Filters by workload; an empty name or kind is any. */
export function workloadPredicate(side: Side, wanted: readonly flow.Workload.$Properties[]): Predicate {
  const isWanted = ({ name, kind }: flow.Workload.$Properties): boolean =>
    wanted.some((each) => (!each.name || each.name === name) && (!each.kind || each.kind === kind));
  return ofEnd(side, ({ workloads }) => workloads?.some(isWanted) ?? false);
}

/** Filters by the cluster at one end. */
export function clusterPredicate(side: Side, names: readonly string[]): Predicate {
  if (names.includes('')) throw refused('invalid filter, name must not be empty');
  return ofEnd(side, ({ clusterName }) => names.includes(clusterName ?? ''));
}

/** Filters by the identity at one end. */
export function identityPredicate(side: Side, identities: readonly number[]): Predicate {
  const wanted = new Set(identities);
  return ofEnd(side, ({ identity }) => wanted.has(identity ?? 0));
}
