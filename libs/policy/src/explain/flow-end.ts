// SPDX-License-Identifier: Apache-2.0
import {
  type Cidr,
  cidrContainsCidr,
  cidrIdentityLabels,
  formatCidr,
  formatLabel,
  formatLabelSet,
  identityRange,
  identityScope,
  type LabelSet,
  type NamedPort,
} from '@weir/model';
import { WeirError } from '@weir/errors';
import { isHostLabels, type EngineState, requireSubject, type Subject } from '../engine/engine-state.ts';
import type { LabelledIdentity } from '../engine/engine-types.ts';
import { attributePrefix } from '../selector-spec.ts';
import type { ExplainedEnd, FlowEnd } from './explain-types.ts';

/** An end that has been found, or made up. */
export interface ResolvedEnd {
  readonly identity: LabelledIdentity;
  /** Nobody has these labels; the number is free. */
  readonly isMadeUp: boolean;
  /** Its policy, where the engine has it. */
  readonly subject?: Subject;
  readonly explained: ExplainedEnd;
}

/** Who has a policy: endpoints, and the host. What lies outside and the other nodes have theirs elsewhere, or none. */
export function mayHavePolicy({ labels }: LabelSet): boolean {
  const foreign = ['world', 'world-ipv4', 'world-ipv6', 'remote-node', 'unmanaged', 'kube-apiserver'];
  return !labels.some(({ source, key }) => source === 'reserved' && foreign.includes(key));
}

/** A number of the range that labels belong to and that no identity has, nor will have soon. */
function freeNumber({ identities }: EngineState, labels: LabelSet): number {
  const reserved = labels.labels.filter(({ source }) => source === 'reserved').map(({ key }) => key);
  const isNode = reserved.includes('remote-node');
  const last = attributePrefix(labels)
    ? identityRange.localCidr.max
    : isNode
      ? identityRange.localNode.max
      : 2 ** 24 - 1;
  let number = last;
  while (identities.has(number)) number--;
  return number;
}

function madeUp(state: EngineState, labels: LabelSet, namedPorts: readonly NamedPort[] = []): ResolvedEnd {
  const identity = { id: freeNumber(state, labels), labels, namedPorts };
  return { identity, isMadeUp: true, explained: { labels: formatLabelSet(labels) } };
}

function subjectWith(state: EngineState, labels: LabelSet): Subject | undefined {
  for (const subject of state.subjects.values()) {
    if (subject.labels.key === labels.key || (isHostLabels(labels) && isHostLabels(subject.labels))) return subject;
  }
  return undefined;
}

function known(state: EngineState, identity: LabelledIdentity): ResolvedEnd {
  const subject = subjectWith(state, identity.labels);
  const explained = { identity: identity.id, labels: formatLabelSet(identity.labels) };
  return { identity, isMadeUp: false, ...(subject && { subject }), explained };
}

function byLabels(state: EngineState, labels: LabelSet, namedPorts?: readonly NamedPort[]): ResolvedEnd {
  for (const identity of state.identities.values()) {
    if (identity.labels.key === labels.key) return known(state, identity);
  }
  const subject = subjectWith(state, labels);
  return { ...madeUp(state, labels, namedPorts), ...(subject && { subject }) };
}

/** The identity of the longest prefix that covers the one that is asked for, and the prefixes that lie in it. */
function byPrefix(state: EngineState, prefix: Cidr): ResolvedEnd {
  let best: { readonly identity: LabelledIdentity; readonly length: number } | undefined;
  const narrower: string[] = [];
  for (const identity of state.identities.values()) {
    const other = identityScope(identity.id) === 'local-cidr' ? attributePrefix(identity.labels) : undefined;
    if (other === undefined) continue;
    if (cidrContainsCidr({ outer: other, inner: prefix })) {
      if (other.prefixLength >= (best?.length ?? 0)) best = { identity, length: other.prefixLength };
    } else if (cidrContainsCidr({ outer: prefix, inner: other })) {
      narrower.push(formatCidr(other));
    }
  }
  const end = best === undefined ? madeUp(state, cidrIdentityLabels(prefix)) : known(state, best.identity);
  return { ...end, explained: { ...end.explained, ...(narrower.length > 0 && { narrower: narrower.sort() }) } };
}

/** Finds out who an end of a flow is. Throws NOT_FOUND for numbers that nobody has. */
export function resolveEnd(state: EngineState, end: FlowEnd): ResolvedEnd {
  switch (end.kind) {
    case 'identity': {
      const identity = state.identities.get(end.id);
      if (identity !== undefined) return known(state, identity);
      throw new WeirError('NOT_FOUND', `Nobody is known by the identity ${end.id}`);
    }
    case 'subject': {
      const subject = requireSubject(state, end.id);
      return { ...byLabels(state, subject.labels), subject };
    }
    case 'labels':
      return byLabels(state, end.labels, end.namedPorts);
    case 'prefix':
      return byPrefix(state, end.prefix);
  }
}

/** The labels of an end that a selector might have meant: those with a key that it names, or all that users gave. */
export function labelsNamed({ labels }: LabelSet, keys: readonly string[]): string {
  const named = labels.filter(({ key }) => keys.includes(key)).map(formatLabel);
  return named.length > 0 ? named.join(', ') : `no ${keys.join(', ')}`;
}
