// SPDX-License-Identifier: Apache-2.0
import { direction, event as layout, eventFlag, eventType, tracePoint } from '@weir/datapath-layout';
import { type Flow, type FlowEndpoint, monitorType, observationPoint, type Timestamp, timestampOf } from '@weir/flow';
import { flow } from '@weir/proto';
import { blameOf } from '../policy/drop-blame.ts';
import type { AddressTexts } from './address-texts.ts';
import type { MacTexts } from './mac-texts.ts';
import type { Names } from './names.ts';
import { ipProtocols, packetSummary, tcpFlagsOf } from './packet-summary.ts';

/** What is the same for all flows of a node. */
export interface FlowContext {
  readonly names: Names;
  readonly addresses: AddressTexts;
  readonly macs: MacTexts;
  readonly node: string;
  /** `key=value`. */
  readonly nodeLabels: readonly string[];
  readonly emitter: flow.Emitter.$Properties;
  readonly identifierOf: (number: number) => string;
}

/** Where the bytes of an event are, and when it happened. */
export interface KernelRecord {
  readonly view: DataView;
  readonly offset: number;
  readonly timeNs: number;
  readonly number: number;
}

type ByteField =
  'type' | 'reason' | 'direction' | 'point' | 'protocol' | 'tcpFlags' | 'flags' | 'icmpType' | 'icmpCode' | 'match';
type Policies = readonly flow.Policy.$Properties[];

const { Verdict, FlowType, TrafficDirection, TraceReason, IPVersion } = flow;
const isTrue = { value: true } as const;
const isFalse = { value: false } as const;
const none: flow.Policy.$Properties[] = [];
const eventTypes = new Map<number, flow.CiliumEventType.$Properties>();

function eventTypeOf(type: number, subType: number): flow.CiliumEventType.$Properties {
  const key = type * 256 + subType;
  const known = eventTypes.get(key) ?? { type, subType };
  eventTypes.set(key, known);
  return known;
}

/**
 * A flow out of an event of the kernel. Every part is worked out when it is asked for: a filter that looks at a port and
 * finds it wrong costs no names. Good for as long as the record is in the ring.
 */
export class KernelFlow implements Flow {
  readonly #context: FlowContext;
  readonly #record: KernelRecord;
  #source: FlowEndpoint | undefined;
  #destination: FlowEndpoint | undefined;
  #ip: flow.IP.$Properties | undefined;

  constructor(context: FlowContext, record: KernelRecord) {
    this.#context = context;
    this.#record = record;
  }

  #u8(field: ByteField): number {
    return this.#record.view.getUint8(this.#record.offset + layout.offsets[field]);
  }
  #u16(field: 'sourceEndpoint' | 'destinationEndpoint'): number {
    return this.#record.view.getUint16(this.#record.offset + layout.offsets[field], true);
  }
  #port(field: 'sourcePort' | 'destinationPort'): number {
    return this.#record.view.getUint16(this.#record.offset + layout.offsets[field]);
  }
  #u32(field: 'sourceIdentity' | 'destinationIdentity' | 'egressCookie' | 'ingressCookie' | 'ifindex'): number {
    return this.#record.view.getUint32(this.#record.offset + layout.offsets[field], true);
  }
  get #timeMs(): number {
    return this.#record.timeNs / 1e6;
  }
  get #isDrop(): boolean {
    return this.#u8('type') === eventType.drop;
  }
  get #isReply(): boolean {
    return (this.#u8('flags') & eventFlag.reply) !== 0;
  }

  /** It was let through although the policy is against it: its endpoint is only audited. */
  get #isAudited(): boolean {
    return (this.#u8('flags') & eventFlag.audited) !== 0;
  }

  get time(): Timestamp & { seconds: number; nanos: number } {
    return timestampOf(this.#timeMs);
  }
  get verdict(): flow.Verdict {
    if (this.#isDrop) return Verdict.DROPPED;
    if (this.#isAudited) return Verdict.AUDIT;
    const isVerdict = this.#u8('type') === eventType.policyVerdict;
    return isVerdict && (this.#u8('flags') & eventFlag.redirected) !== 0 ? Verdict.REDIRECTED : Verdict.FORWARDED;
  }
  get dropReason(): number {
    return this.#isDrop ? this.#u8('reason') : 0;
  }
  get dropReasonDesc(): flow.DropReason {
    return this.dropReason;
  }
  get IP(): flow.IP.$Properties {
    if (this.#ip !== undefined) return this.#ip;
    const { view, offset } = this.#record;
    const source = this.#context.addresses.at(view, offset + layout.offsets.source);
    const destination = this.#context.addresses.at(view, offset + layout.offsets.destination);
    return (this.#ip = { source, destination, ipVersion: source.includes(':') ? IPVersion.IPv6 : IPVersion.IPv4 });
  }
  get l4(): flow.Layer4.$Properties | null {
    const ports = () => ({ sourcePort: this.#port('sourcePort'), destinationPort: this.#port('destinationPort') });
    switch (this.#u8('protocol')) {
      case ipProtocols.tcp:
        return { TCP: { ...ports(), flags: tcpFlagsOf(this.#u8('tcpFlags')) } };
      case ipProtocols.udp:
        return { UDP: ports() };
      case ipProtocols.sctp:
        return { SCTP: ports() };
      case ipProtocols.icmp:
        return { ICMPv4: { type: this.#u8('icmpType'), code: this.#u8('icmpCode') } };
      case ipProtocols.icmpv6:
        return { ICMPv6: { type: this.#u8('icmpType'), code: this.#u8('icmpCode') } };
      default:
        return null;
    }
  }
  get ethernet(): flow.Ethernet.$Properties | null {
    const { view, offset } = this.#record;
    return this.#context.macs.at(view, offset + layout.offsets.destinationMac);
  }
  get sourceService(): flow.Service.$Properties | null {
    return this.#service(this.IP.source, 'sourcePort');
  }
  get destinationService(): flow.Service.$Properties | null {
    return this.#service(this.IP.destination, 'destinationPort');
  }
  #service(address: string | null | undefined, port: 'sourcePort' | 'destinationPort') {
    const protocol = this.#u8('protocol');
    return this.#context.names.service({ address: address ?? '', port: this.#port(port), protocol }, this.#timeMs);
  }
  get socketCookie(): number {
    return layout.readSocketCookieNumber(this.#record.view, this.#record.offset);
  }
  get cgroupId(): number {
    return layout.readCgroupNumber(this.#record.view, this.#record.offset);
  }
  get nodeLabels(): string[] {
    return this.#context.nodeLabels as string[];
  }
  get source(): FlowEndpoint {
    this.#source ??= this.#context.names.end(
      { endpointId: this.#u16('sourceEndpoint'), identity: this.#u32('sourceIdentity'), address: this.IP.source ?? '' },
      this.#timeMs,
    );
    return this.#source;
  }
  get destination(): FlowEndpoint {
    this.#destination ??= this.#context.names.end(
      {
        ...{ endpointId: this.#u16('destinationEndpoint'), identity: this.#u32('destinationIdentity') },
        address: this.IP.destination ?? '',
      },
      this.#timeMs,
    );
    return this.#destination;
  }
  get Type(): flow.FlowType {
    return FlowType.L3_L4;
  }
  get nodeName(): string {
    return this.#context.node;
  }
  get reply(): boolean {
    return this.isReply?.value ?? false;
  }
  /** Not known of what was dropped: it may belong to no connection at all. */
  get isReply(): { readonly value: boolean } | null {
    if (this.#isDrop) return null;
    return this.#isReply ? isTrue : isFalse;
  }
  get eventType(): flow.CiliumEventType.$Properties {
    if (this.#isDrop) return eventTypeOf(monitorType.drop, this.#u8('reason'));
    if (this.#u8('type') === eventType.policyVerdict) return eventTypeOf(monitorType.policyVerdict, 0);
    return eventTypeOf(this.#u8('type'), this.#u8('point'));
  }
  /** Of the endpoint whose policy decided; of a trace, of the endpoint that it was seen at. */
  get trafficDirection(): flow.TrafficDirection {
    if (this.#u8('type') !== eventType.trace) return this.#decidedDirection();
    const isAtSource = this.#u8('point') !== tracePoint.toEndpoint && this.#u16('sourceEndpoint') !== 0;
    return isAtSource === this.#isReply ? TrafficDirection.INGRESS : TrafficDirection.EGRESS;
  }
  #decidedDirection(): flow.TrafficDirection {
    const isAllowed = !this.#isDrop && !this.#isAudited;
    const isIngressVerdict = isAllowed && this.#u32('egressCookie') === 0 && this.#u32('ingressCookie') !== 0;
    if (isIngressVerdict || this.#u8('direction') === direction.ingress) return TrafficDirection.INGRESS;
    return this.#u8('direction') === direction.egress
      ? TrafficDirection.EGRESS
      : TrafficDirection.TRAFFIC_DIRECTION_UNKNOWN;
  }
  /** What the entry looks at that decided, in the direction of {@link trafficDirection}; of a trace, nothing decided. */
  get policyMatchType(): number {
    if (this.#u8('type') === eventType.trace || (this.#isDrop && blameOf(this.#u8('reason')) === 'nobody')) return 0;
    const both = this.#u8('match');
    return this.#decidedDirection() === TrafficDirection.INGRESS ? both >> 4 : both & 0xf;
  }
  get traceObservationPoint(): flow.TraceObservationPoint {
    return this.#u8('type') === eventType.trace ? observationPoint(this.#u8('point')) : 0;
  }
  get traceReason(): flow.TraceReason {
    if (this.#u8('type') !== eventType.trace) return TraceReason.TRACE_REASON_UNKNOWN;
    return this.#isReply ? TraceReason.REPLY : TraceReason.ESTABLISHED;
  }
  get interface(): flow.NetworkInterface.$Properties {
    return this.#context.names.device(this.#u32('ifindex'), this.#timeMs);
  }
  get uuid(): string {
    return this.#context.identifierOf(this.#record.number);
  }
  get emitter(): flow.Emitter.$Properties {
    return this.#context.emitter;
  }
  get egressAllowedBy(): flow.Policy.$Properties[] {
    return this.#allowedBy('egressCookie');
  }
  get ingressAllowedBy(): flow.Policy.$Properties[] {
    return this.#allowedBy('ingressCookie');
  }
  get egressDeniedBy(): flow.Policy.$Properties[] {
    return this.#deniedBy(false);
  }
  get ingressDeniedBy(): flow.Policy.$Properties[] {
    return this.#deniedBy(true);
  }
  #allowedBy(cookie: 'egressCookie' | 'ingressCookie'): flow.Policy.$Properties[] {
    if (this.#u8('type') !== eventType.policyVerdict || this.#isAudited) return none;
    return this.#context.names.cookiePolicies(this.#u32(cookie)) as flow.Policy.$Properties[];
  }
  #deniedBy(isIngress: boolean): flow.Policy.$Properties[] {
    if (!this.#isDrop && !this.#isAudited) return none;
    const { names } = this.#context;
    const blame = blameOf(this.#u8('reason'));
    // What wants the proxy stands in the event for its own direction, whichever way the packet went.
    const isDeciding = blame === 'proxy-rules' || (this.#u8('direction') === direction.ingress) === isIngress;
    if (blame === 'nobody' || !isDeciding) return none;
    let policies: Policies;
    if (blame === 'default-deny') {
      // The direction is that of the connection; a reply has its ends the other way round.
      const subject = this.#u32(isIngress === this.#isReply ? 'sourceIdentity' : 'destinationIdentity');
      policies = names.defaultDenyPolicies(subject, isIngress, this.#timeMs);
    } else {
      policies = names.cookiePolicies(this.#u32(isIngress ? 'ingressCookie' : 'egressCookie'));
    }
    return policies as flow.Policy.$Properties[];
  }
  get Summary(): string {
    const isIpv4 = this.IP.ipVersion === IPVersion.IPv4;
    const [protocol, tcpFlags] = [this.#u8('protocol'), this.#u8('tcpFlags')];
    const [icmpType, icmpCode] = [this.#u8('icmpType'), this.#u8('icmpCode')];
    return packetSummary({ protocol, tcpFlags, icmpType, icmpCode, isIpv4 });
  }
}
