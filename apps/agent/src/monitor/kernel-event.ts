// SPDX-License-Identifier: Apache-2.0
import { direction, dropReasonTexts, type Event, eventFlag, eventType, tracePointNames } from '@weir/datapath-layout';
import { formatProtocol } from '@weir/model';
import type { PolicyEngine } from '@weir/policy';
import type { weir } from '@weir/proto';
import { blameOf } from '../policy/drop-blame.ts';
import { type Origin, originNames, policyName } from '../policy/policy-names.ts';
import type { Peers } from './peers.ts';

export interface KernelEventOptions {
  readonly peers: Peers;
  readonly engine: Pick<PolicyEngine, 'policiesInDefaultDeny'>;
  /** The rules behind a policy entry, by the number that the kernel has of them. */
  readonly cookies: { meaningOf(cookie: number): readonly Origin[] | undefined };
  readonly node: string;
}

const typeNames: Readonly<Record<number, string>> = {
  [eventType.drop]: 'drop',
  [eventType.trace]: 'trace',
  [eventType.policyVerdict]: 'policy-verdict',
};

const tcpFlagNames = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
const protocolTcp = 6;

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const flagText = (flags: number): string => tcpFlagNames.filter((_, bit) => (flags & (1 << bit)) !== 0).join(', ');

/** Let through only because its endpoint is in audit mode. */
const isAudited = ({ flags }: Event): boolean => (flags & eventFlag.audited) !== 0;

/** Whether policy says no, or the datapath does: then the event has a reason. */
const isAgainst = (event: Event): boolean => event.type === eventType.drop || isAudited(event);

/** Of the endpoint whose policy decided; where none did, the way in which the packet passed its hook. */
function directionText(event: Event): string {
  const isIngressVerdict = !isAgainst(event) && event.egressCookie === 0 && event.ingressCookie !== 0;
  if (isIngressVerdict || event.direction === direction.ingress) return 'ingress';
  return event.direction === direction.egress ? 'egress' : '';
}

/** The policies that decided on the flow of an event: those that allowed it, denied it, or put it into default deny. */
function decidingPolicies(event: Event, { engine, cookies }: KernelEventOptions): string[] {
  const behind = (cookie: number): string[] => originNames(cookies.meaningOf(cookie) ?? []);
  const both = (): string[] => [...new Set([...behind(event.egressCookie), ...behind(event.ingressCookie)])];
  if (!isAgainst(event)) return both();
  const isIngress = event.direction === direction.ingress;
  switch (blameOf(event.reason)) {
    case 'nobody':
      return [];
    case 'proxy-rules':
      return both();
    case 'rule':
      return behind(isIngress ? event.ingressCookie : event.egressCookie);
    case 'default-deny':
      return policiesAgainst(event, engine);
  }
}

/** The policies that put the end whose policy decided into default deny. */
function policiesAgainst(event: Event, engine: KernelEventOptions['engine']): string[] {
  const isIngress = event.direction === direction.ingress;
  // The direction is that of the flow; a reply has its ends the other way round.
  const isReply = (event.flags & eventFlag.reply) !== 0;
  const subject = isIngress === isReply ? event.sourceIdentity : event.destinationIdentity;
  try {
    return engine.policiesInDefaultDeny(subject, isIngress ? 'ingress' : 'egress').map(policyName);
  } catch {
    // The endpoint has left in the meantime, and its identity with it.
    return [];
  }
}

function verdictOf(event: Event): string {
  if (event.type === eventType.drop) return 'dropped';
  if (isAudited(event)) return 'audited';
  return (event.flags & eventFlag.redirected) !== 0 ? 'redirected' : 'forwarded';
}

/** What the monitor says of an event of the kernel. `offsetNs` is what turns CLOCK_MONOTONIC into time since 1970. */
export function describeKernelEvent(
  event: Event,
  options: KernelEventOptions & { readonly offsetNs: number },
): weir.agent.v1.IMonitorEvent {
  const { peers, node, offsetNs } = options;
  const isDrop = event.type === eventType.drop;
  const hasReason = isAgainst(event);
  return {
    timeNs: Number(event.timeNs) + offsetNs,
    type: typeNames[event.type] ?? 'unknown',
    verdict: verdictOf(event),
    reason: hasReason ? (dropReasonTexts[event.reason] ?? `reason ${event.reason}`) : '',
    reasonCode: hasReason ? event.reason : 0,
    direction: directionText(event),
    protocol: formatProtocol(event.protocol),
    tcpFlags: event.protocol === protocolTcp ? flagText(event.tcpFlags) : '',
    isReply: (event.flags & eventFlag.reply) !== 0,
    source: peers.describe({
      address: event.source,
      port: event.sourcePort,
      identity: event.sourceIdentity,
      endpointId: event.sourceEndpoint,
    }),
    destination: peers.describe({
      address: event.destination,
      port: event.destinationPort,
      identity: event.destinationIdentity,
      endpointId: event.destinationEndpoint,
    }),
    policies: decidingPolicies(event, options),
    node,
    tracePoint: isDrop ? '' : kebab(tracePointNames[event.point] ?? ''),
    length: event.length,
  };
}
