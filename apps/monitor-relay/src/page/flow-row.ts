// SPDX-License-Identifier: Apache-2.0
import { dropReasonText, type Flow, type FlowEndpoint, summaryText, timestampMs, typeText } from '@weir/flow';
import { flow } from '@weir/proto';
import { serviceNameOf } from '../export/flow-origin.ts';

const { Verdict, TrafficDirection, L7FlowType } = flow;

/** An end of a flow as the page shows it. All texts are other people's. */
export interface RowEnd {
  /** What it is called in the map: application, workload, pod, DNS name or address. */
  readonly service: string;
  readonly namespace: string;
  readonly pod: string;
  readonly identity: number;
  readonly address: string;
  readonly port: number;
  readonly labels: readonly string[];
}

/** A policy that has decided. */
export interface RowPolicy {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  readonly isDenial: boolean;
}

/** A flow as the page shows it. */
export interface FlowRow {
  readonly timeMs: number;
  readonly node: string;
  readonly source: RowEnd;
  readonly destination: RowEnd;
  readonly protocol: string;
  readonly verdict: string;
  /** The kind of event, in the words of `weir observe`. */
  readonly type: string;
  readonly direction: string;
  readonly isReply: boolean;
  readonly reason: string;
  readonly summary: string;
  readonly call: { readonly method: string; readonly url: string; readonly status: number; readonly ms: number } | null;
  readonly policies: readonly RowPolicy[];
}

const protocols = ['TCP', 'UDP', 'SCTP', 'ICMPv4', 'ICMPv6', 'VRRP', 'IGMP'] as const;
const lower = (names: object, number: number | null | undefined): string =>
  String((names as Readonly<Record<number, string>>)[number ?? 0] ?? '').toLowerCase();

function endOf(
  end: FlowEndpoint | null | undefined,
  about: { readonly address: string; readonly port: number; readonly names: readonly string[] },
): RowEnd {
  const [name] = about.names;
  return {
    // The world has no name of its own; what it was asked for says more.
    service: name !== undefined && !end?.podName ? name : serviceNameOf(end, about.address),
    ...{ namespace: end?.namespace ?? '', pod: end?.podName ?? '', identity: end?.identity ?? 0 },
    ...{ address: about.address, port: about.port, labels: end?.labels ?? [] },
  };
}

const policiesOf = (all: readonly flow.Policy.$Properties[] | null | undefined, isDenial: boolean): RowPolicy[] =>
  (all ?? []).map(({ kind, namespace, name, revision }) => ({
    ...{ kind: kind ?? '', namespace: namespace ?? '', name: name ?? '', revision: revision ?? 0, isDenial },
  }));

function callOf({ l7 }: Flow): FlowRow['call'] {
  if (!l7?.http) return null;
  const { method, url, code } = l7.http;
  const isAnswer = l7.type === L7FlowType.RESPONSE;
  return { method: method ?? '', url: url ?? '', status: code ?? 0, ms: isAnswer ? (l7.latencyNs ?? 0) / 1e6 : 0 };
}

/** What the page is told of a flow. */
export function rowOf(each: Flow): FlowRow {
  const { IP, l4, source, destination } = each;
  const ports = l4?.TCP ?? l4?.UDP ?? l4?.SCTP;
  return {
    timeMs: each.time ? timestampMs(each.time) : 0,
    node: each.nodeName ?? '',
    source: endOf(source, {
      ...{ address: IP?.source ?? '', port: ports?.sourcePort ?? 0, names: each.sourceNames ?? [] },
    }),
    destination: endOf(destination, {
      ...{ address: IP?.destination ?? '', port: ports?.destinationPort ?? 0, names: each.destinationNames ?? [] },
    }),
    protocol: each.l7?.http ? 'HTTP' : (protocols.find((name) => l4?.[name]) ?? ''),
    verdict: lower(Verdict, each.verdict),
    type: typeText(each),
    direction: lower(TrafficDirection, each.trafficDirection),
    isReply: each.isReply?.value === true,
    reason: each.dropReason ? dropReasonText(each.dropReason) : '',
    summary: summaryText(each),
    call: callOf(each),
    policies: [
      ...policiesOf(each.egressAllowedBy, false),
      ...policiesOf(each.ingressAllowedBy, false),
      ...policiesOf(each.egressDeniedBy, true),
      ...policiesOf(each.ingressDeniedBy, true),
    ],
  };
}
