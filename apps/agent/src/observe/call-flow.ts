// SPDX-License-Identifier: Apache-2.0
import { type Flow, monitorType, timestampOf } from '@weir/flow';
import { formatIpAddress, ipAddressFromBytes } from '@weir/model';
import { flow, weir } from '@weir/proto';
import type { FlowContext } from './kernel-flow.ts';

type Call = weir.proxy.v1.IHttpCall;

/** One half of a call: the request when it came, the answer when it went. */
export interface CallRecord {
  readonly call: Call;
  readonly part: 'request' | 'response';
}

const { CallVerdict } = weir.proxy.v1;
const { Verdict, FlowType, L7FlowType, TrafficDirection, IPVersion } = flow;
const tcp = 6;
const l7Event = { type: monitorType.l7, subType: 0 } as const;

/** What became of the request; the answer of a call that was refused is forwarded, as any other is. */
function verdictOf({ call, part }: CallRecord): flow.Verdict {
  if (call.verdict === CallVerdict.CALL_VERDICT_ERROR) return Verdict.ERROR;
  const isDenied = call.verdict === CallVerdict.CALL_VERDICT_DENIED;
  return isDenied && part === 'request' ? Verdict.DROPPED : Verdict.FORWARDED;
}

/** Nanoseconds since 1970 at which the half of a call happened. */
export const callTimeNs = ({ call, part }: CallRecord): number =>
  (call.timeNs ?? 0) + (part === 'response' ? (call.latencyNs ?? 0) : 0);

function httpOf({ call, part }: CallRecord): flow.HTTP.$Properties {
  const { method, host, path, protocol } = call;
  return {
    code: part === 'response' ? (call.status ?? 0) : 0,
    method: method ?? '',
    url: `http://${host ?? ''}${path ?? ''}`,
    protocol: protocol ?? '',
    // The one field that is kept: what a trace is put together by.
    headers: call.traceParent ? [{ key: 'traceparent', value: call.traceParent }] : [],
  };
}

function summaryOf({ call, part }: CallRecord, { method, url, protocol, code }: flow.HTTP.$Properties): string {
  if (part === 'request') return `${protocol} ${method} ${url}`;
  return `${protocol} ${code} ${Math.floor((call.latencyNs ?? 0) / 1e6)}ms (${method} ${url})`;
}

const textOf = (bytes: Uint8Array | null | undefined): string =>
  formatIpAddress(ipAddressFromBytes(bytes?.length ? bytes : new Uint8Array(16)));

function policiesOf({ call, part }: CallRecord, { names }: FlowContext): Partial<Flow> {
  const by = (number: number | null | undefined) => [...names.ruleSetPolicies(number ?? 0)];
  if (part === 'response') return {};
  const denying = call.deniedByRuleSet ?? 0;
  if (denying !== 0)
    return denying === call.egressRuleSet ? { egressDeniedBy: by(denying) } : { ingressDeniedBy: by(denying) };
  return { egressAllowedBy: by(call.egressRuleSet), ingressAllowedBy: by(call.ingressRuleSet) };
}

/** The flow of one half of a call that the proxy has judged. */
export function flowOfCall(record: CallRecord, context: FlowContext & { readonly number: number }): Flow {
  const { call, part } = record;
  const { names, node, nodeLabels, emitter, identifierOf, number } = context;
  const isResponse = part === 'response';
  const timeMs = callTimeNs(record) / 1e6;
  const client = {
    address: textOf(call.sourceAddress),
    port: call.sourcePort ?? 0,
    identity: call.sourceIdentity ?? 0,
  };
  const server = {
    ...{ address: textOf(call.destinationAddress), port: call.destinationPort ?? 0 },
    identity: call.destinationIdentity ?? 0,
  };
  const [from, to] = isResponse ? [server, client] : [client, server];
  const http = httpOf(record);
  const isEgress = (call.ingressRuleSet ?? 0) === 0;
  return {
    time: timestampOf(timeMs),
    verdict: verdictOf(record),
    IP: {
      ...{ source: from.address, destination: to.address },
      ipVersion: from.address.includes(':') ? IPVersion.IPv6 : IPVersion.IPv4,
    },
    l4: { TCP: { sourcePort: from.port, destinationPort: to.port } },
    source: names.end({ endpointId: 0, identity: from.identity, address: from.address }, timeMs),
    destination: names.end({ endpointId: 0, identity: to.identity, address: to.address }, timeMs),
    Type: FlowType.L7,
    ...{ nodeName: node, nodeLabels: [...nodeLabels] },
    sourceService: names.service({ ...from, protocol: tcp }, timeMs),
    destinationService: names.service({ ...to, protocol: tcp }, timeMs),
    l7: {
      type: isResponse ? L7FlowType.RESPONSE : L7FlowType.REQUEST,
      latencyNs: isResponse ? (call.latencyNs ?? 0) : 0,
      http,
    },
    reply: isResponse,
    isReply: { value: isResponse },
    eventType: l7Event,
    trafficDirection: isEgress ? TrafficDirection.EGRESS : TrafficDirection.INGRESS,
    ...(call.traceParent && { traceContext: { parent: { traceId: call.traceParent.slice(3, 35) } } }),
    uuid: identifierOf(number),
    emitter,
    ...policiesOf(record, context),
    Summary: summaryOf(record, http),
  };
}
