// SPDX-License-Identifier: Apache-2.0
import { type Direction, formatProtocol, icmpPort, type LabelSet, type NamedPort, protocolNumber } from '@weir/model';
import { resolvePortName } from '../engine/direction-policy.ts';
import { type EngineState, rulesFor, rulesSelecting, type Subject } from '../engine/engine-state.ts';
import type { LabelledIdentity } from '../engine/engine-types.ts';
import type { ActiveRule } from '../engine/policy-repository.ts';
import { prefixOf, portPrefixSize, portSpanContains } from '../port-prefix.ts';
import type { Grant, PortMatch } from '../rule.ts';
import {
  attributePrefix,
  formatRequirement,
  type Requirement,
  requirementHolds,
  type SelectorSpec,
} from '../selector-spec.ts';
import type { HttpRequest, Miss, NearMiss } from './explain-types.ts';
import { labelsNamed } from './flow-end.ts';
import { requestMisses } from './request-match.ts';

/** A flow as one end's policy sees it. */
export interface SideFlow {
  readonly subject: Subject;
  readonly subjectPorts: readonly NamedPort[];
  readonly direction: Direction;
  readonly peer: LabelledIdentity;
  readonly protocol: number;
  readonly port: number;
  readonly request?: HttpRequest;
}

/** How many rules are named at most. */
export const nearestMax = 5;

const isIcmp = (protocol: number): boolean => protocol === protocolNumber.ICMP || protocol === protocolNumber.ICMPv6;

/** `TCP/80`, `TCP/8000-8099`, `ICMP type 8`, `TCP`, `any`. */
export function formatPorts(match: PortMatch): string {
  const name = formatProtocol(match.protocol);
  const { port, prefixLength } = prefixOf(match);
  if (prefixLength === 0) return name;
  if (isIcmp(match.protocol)) return `${name} type ${port - icmpPort(0)}`;
  const last = port + portPrefixSize(prefixLength) - 1;
  return last === port ? `${name}/${port}` : `${name}/${port}-${last}`;
}

function foundInstead({ source, key }: Requirement, labels: LabelSet): string {
  if (source !== 'cidr') return labelsNamed(labels, [key]);
  const prefix = attributePrefix(labels);
  if (prefix !== undefined)
    return labels.labels
      .filter((label) => label.source === 'cidr')
      .map((l) => l.key)
      .join();
  return 'a peer inside the cluster, which addresses do not match';
}

/** What of the selector that comes nearest does not hold; empty when one of them selects. */
function selectorMisses(selectors: readonly SelectorSpec[], labels: LabelSet, kind: Miss['kind']): Miss[] {
  let nearest: readonly Requirement[] | undefined;
  for (const { requirements } of selectors) {
    const failing = requirements.filter((requirement) => !requirementHolds(requirement, labels));
    if (failing.length < (nearest?.length ?? Infinity)) nearest = failing;
  }
  if (nearest === undefined) return [{ kind, wanted: 'nobody', found: 'a peer' }];
  return nearest.map((requirement) => ({
    kind,
    wanted: formatRequirement(requirement),
    found: foundInstead(requirement, labels),
  }));
}

function peerMisses(grant: Grant, flow: SideFlow, state: EngineState): Miss[] {
  if (grant.peers === 'any') return [];
  const services = (grant.services ?? []).flatMap((match) => state.references.peersOf(match));
  return selectorMisses([...grant.peers, ...services], flow.peer.labels, 'peer');
}

/** The names that a grant uses, with the ports that they are for this flow. */
function portsOf(grant: Grant, { direction, subjectPorts, peer }: SideFlow): PortMatch[] {
  const named = direction === 'ingress' ? subjectPorts : (peer.namedPorts ?? []);
  const lowerCased = named.map((port) => ({ ...port, name: port.name.toLowerCase() }));
  return [...grant.ports, ...(grant.namedPorts ?? []).flatMap((wanted) => resolvePortName(wanted, lowerCased))];
}

function portMisses(grant: Grant, flow: SideFlow): Miss[] {
  const inner = { protocol: flow.protocol, port: flow.port };
  const ports = portsOf(grant, flow);
  if (ports.some((outer) => portSpanContains({ outer, inner }))) return [];
  const names = (grant.namedPorts ?? []).map(({ name }) => `a port named "${name}"`);
  const wanted = [...ports.map(formatPorts), ...names].join(', ');
  const kind = ports.some(({ protocol }) => protocol === flow.protocol) || ports.length === 0 ? 'port' : 'protocol';
  return [{ kind, wanted, found: formatPorts(inner) }];
}

/** What the HTTP rule that comes nearest wants. */
function httpMisses({ http = [] }: Grant, { request }: SideFlow): Miss[] {
  if (request === undefined || http.length === 0) return [];
  const [nearest = []] = http.map((rule) => requestMisses(rule, request)).sort((a, b) => a.length - b.length);
  return nearest.map((miss) => ({ kind: 'request' as const, ...miss }));
}

function requiredMisses(rules: readonly ActiveRule[], { direction, peer }: SideFlow): Miss[] {
  const required = rules.flatMap(({ rule }) => rule[direction].required ?? []);
  return required.flatMap((selector) => selectorMisses([selector], peer.labels, 'required'));
}

function missesOf(rule: ActiveRule, flow: SideFlow, state: EngineState): NearMiss[] {
  const forOthers = rulesFor(state, rule.rule).find(rule.rule.subject)?.members.has(flow.subject.id)
    ? []
    : selectorMisses([rule.rule.subject], flow.subject.labels, 'subject');
  return (
    rule.rule[flow.direction].grants
      .filter(({ verdict }) => verdict === 'allow')
      .map((grant): NearMiss => {
        const { path, line } = grant;
        const origin = { policy: rule.policy.key, rule: rule.index, direction: flow.direction, path, line };
        const misses = [
          ...forOthers,
          ...peerMisses(grant, flow, state),
          ...portMisses(grant, flow),
          ...httpMisses(grant, flow),
        ];
        return { origin, misses };
      })
      // Of rules for others only those are worth a word that would otherwise do.
      .filter(({ misses }) => forOthers.length === 0 || (forOthers.length === 1 && misses.length === 1))
  );
}

/** The rules that come nearest to allowing a flow, the nearest first. */
export function nearMisses(state: EngineState, flow: SideFlow): NearMiss[] {
  const selecting = rulesSelecting(state, flow.subject);
  const required = requiredMisses(selecting, flow);
  const all = state.repository
    .list()
    .flatMap(({ key }) => state.repository.rulesOf(key))
    .filter(({ rule }) => (rule.appliesTo ?? 'endpoints') === flow.subject.appliesTo)
    .flatMap((rule) => missesOf(rule, flow, state))
    .map(({ origin, misses }) => ({ origin, misses: [...misses, ...required] }))
    .filter(({ misses }) => misses.length > 0);
  return all.sort((a, b) => a.misses.length - b.misses.length).slice(0, nearestMax);
}
