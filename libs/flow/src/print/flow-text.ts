// SPDX-License-Identifier: Apache-2.0
import { reservedIdentity } from '@weir/model';
import { flow } from '@weir/proto';
import { monitorType, policyMatchTypes, socketPoints, tracePoints } from '../event-types.ts';
import { dropReasonText } from './drop-reason-texts.ts';
import type { Flow, FlowEndpoint } from '../filter/predicate.ts';

/** What of a flow is printed, and how. */
export interface TextOptions {
  /** Addresses and no names. */
  readonly numeric?: boolean;
  readonly policyNames?: boolean;
}

const { Verdict, TrafficDirection, AuthType, DebugCapturePoint, L7FlowType } = flow;

const nameOf = (table: object, number: number): string =>
  (table as Readonly<Record<number, string>>)[number] ?? String(number);

const reservedNames: ReadonlyMap<number, string> = new Map([
  [0, 'unknown'],
  ...Object.entries(reservedIdentity).map(([name, id]) => [id, name] as const),
]);

/** `(host)` for a reserved identity, else `(ID:1234)`. */
export function identityText(end: FlowEndpoint | null | undefined): string {
  const identity = end?.identity ?? 0;
  const name = reservedNames.get(identity);
  return name === undefined ? `(ID:${identity})` : `(${name})`;
}

function hostName(each: Flow, isSource: boolean, options: TextOptions): string {
  const address = (isSource ? each.IP?.source : each.IP?.destination) ?? '';
  if (options.numeric === true) return address;
  const end = isSource ? each.source : each.destination;
  const service = isSource ? each.sourceService : each.destinationService;
  const names = isSource ? each.sourceNames : each.destinationNames;
  if (end?.podName) return `${service?.namespace || end.namespace || ''}/${end.podName}`;
  if (service?.name) return `${service.namespace ?? ''}/${service.name}`;
  return names?.length ? names.join(',') : address;
}

/** One end as people read it: pod, service, DNS names or address, with its port. */
export function hostText(each: Flow, isSource: boolean, options: TextOptions = {}): string {
  if (each.IP === null || each.IP === undefined) {
    return (isSource ? each.ethernet?.source : each.ethernet?.destination) ?? '';
  }
  const name = hostName(each, isSource, options);
  const ports = each.l4?.TCP ?? each.l4?.UDP ?? each.l4?.SCTP;
  const port = (isSource ? ports?.sourcePort : ports?.destinationPort) ?? 0;
  if (port === 0) return name;
  return name.includes(':') ? `[${name}]:${port}` : `${name}:${port}`;
}

function l7Type({ type, dns, http, kafka }: flow.Layer7.$Properties): string {
  const kind = nameOf(L7FlowType, type ?? 0).toLowerCase();
  if (http) return `http-${kind}`;
  if (kafka) return `kafka-${kind}`;
  if (!dns) return `l7-${kind}`;
  return dns.observationSource ? `dns-${kind} ${dns.observationSource}` : `dns-${kind}`;
}

/** The kind of event: an observation point, the reason of a drop, how a policy matched, the kind of a call. */
export function typeText(each: Flow): string {
  if (each.l7) return l7Type(each.l7);
  const subType = each.eventType?.subType ?? 0;
  switch (each.eventType?.type ?? 0) {
    case monitorType.trace:
      return tracePoints[subType] ?? String(subType);
    case monitorType.drop:
      return dropReasonText(subType);
    case monitorType.policyVerdict: {
      const match = policyMatchTypes[each.policyMatchType ?? 0] ?? 'unknown';
      return `policy-verdict:${match} ${nameOf(TrafficDirection, each.trafficDirection ?? 0)}`;
    }
    case monitorType.capture:
      return nameOf(DebugCapturePoint, each.debugCapturePoint ?? 0);
    case monitorType.traceSock:
      return socketPoints[each.sockXlatePoint ?? 0] ?? 'unknown';
    default:
      return 'UNKNOWN';
  }
}

const policiesText = (policies: readonly flow.Policy.$Properties[]): string => {
  const named = policies.filter(({ name, kind }) => name && kind);
  return named.length === 0 ? '' : ` BY ${named.map(({ name, kind }) => `${name} (${kind})`).join(', ')}`;
};

/** What became of it; of a policy's verdict in the policy's words. */
export function verdictText(each: Flow, { policyNames = false }: TextOptions = {}): string {
  const verdict = each.verdict ?? 0;
  if (each.eventType?.type !== monitorType.policyVerdict) return nameOf(Verdict, verdict);
  const allowed = policyNames ? policiesText([...(each.egressAllowedBy ?? []), ...(each.ingressAllowedBy ?? [])]) : '';
  const denied = policyNames ? policiesText([...(each.egressDeniedBy ?? []), ...(each.ingressDeniedBy ?? [])]) : '';
  if (verdict === Verdict.FORWARDED || verdict === Verdict.REDIRECTED) return `ALLOWED${allowed}`;
  if (verdict === Verdict.DROPPED || verdict === Verdict.ERROR) return `DENIED${denied}`;
  return verdict === Verdict.AUDIT ? `AUDITED${denied}` : nameOf(Verdict, verdict);
}

/** What the packet or the call says. */
export function summaryText({ ipTraceId, Summary, authType }: Flow): string {
  const trace = ipTraceId?.traceId ? `IP Trace ID: ${ipTraceId.traceId}; ` : '';
  const auth = authType ? `; Auth: ${nameOf(AuthType, authType)}` : '';
  return `${trace}${Summary ?? ''}${auth}`;
}
