// SPDX-License-Identifier: Apache-2.0
import { flow, type google } from '@weir/proto';

type Flow = flow.Flow.$Properties;
type Time = google.protobuf.Timestamp.$Properties;

const bytesInitial = 4_096;

/**
 * Writes responses with a flow in them. Code for exactly these messages, with the bytes of each end kept, takes a fraction
 * of what a general encoder does; anything rare goes through that.
 */
export interface FlowEncoder {
  /** A `GetFlowsResponse`; the bytes are the caller's. */
  encode(each: Flow): Buffer;
}

interface Output {
  bytes: Buffer;
  at: number;
}

function varint(out: Output, value: number): void {
  let rest = value;
  while (rest > 0x7f) {
    out.bytes[out.at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out.bytes[out.at++] = rest;
}

/** A number or an enum; nothing where it is 0. */
function number(out: Output, field: number, value: number | null | undefined): void {
  if (!value) return;
  varint(out, field * 8);
  varint(out, value);
}

const flag = (out: Output, field: number, value: boolean | null | undefined): void =>
  number(out, field, value === true ? 1 : 0);

function text(out: Output, field: number, value: string | null | undefined): void {
  if (!value) return;
  varint(out, field * 8 + 2);
  if (value.length >= 0x80) {
    varint(out, Buffer.byteLength(value));
    out.at += out.bytes.write(value, out.at);
    return;
  }
  // One byte of length, unless there are characters of several bytes in it.
  const start = out.at++;
  const length = out.bytes.write(value, out.at);
  if (length < 0x80) {
    out.bytes[start] = length;
    out.at += length;
    return;
  }
  out.at = start;
  varint(out, length);
  out.at += out.bytes.write(value, out.at);
}

function chunk(out: Output, field: number, value: Uint8Array): void {
  varint(out, field * 8 + 2);
  varint(out, value.length);
  out.bytes.set(value, out.at);
  out.at += value.length;
}

/** A message of less than 128 bytes, which all that are written here one by one are. */
function small(out: Output, field: number, write: (out: Output) => void): void {
  varint(out, field * 8 + 2);
  const length = out.at++;
  write(out);
  const size = out.at - length - 1;
  if (size < 0x80) {
    out.bytes[length] = size;
    return;
  }
  // Long names: the length needs a second byte.
  out.bytes.copyWithin(length + 2, length + 1, out.at);
  out.bytes[length] = (size & 0x7f) | 0x80;
  out.bytes[length + 1] = size >> 7;
  out.at += 1;
}

function time(out: Output, { seconds, nanos }: Time): void {
  number(out, 1, seconds);
  number(out, 2, nanos);
}

const tcpFlagFields = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'] as const;

const ports = (out: Output, each: flow.UDP.$Properties): void => {
  number(out, 1, each.sourcePort);
  number(out, 2, each.destinationPort);
};

function layer4(out: Output, { TCP, UDP, SCTP, ICMPv4, ICMPv6 }: flow.Layer4.$Properties): void {
  if (TCP) {
    small(out, 1, () => {
      ports(out, TCP);
      const { flags } = TCP;
      if (flags) small(out, 3, () => tcpFlagFields.forEach((name, index) => flag(out, index + 1, flags[name])));
    });
  } else if (UDP) small(out, 2, () => ports(out, UDP));
  else if (SCTP) small(out, 5, () => ports(out, SCTP));
  const icmp = ICMPv4 ?? ICMPv6;
  if (icmp) {
    small(out, ICMPv4 ? 3 : 4, () => {
      number(out, 1, icmp.type);
      number(out, 2, icmp.code);
    });
  }
}

/** Bytes of messages that are handed in again and again. */
function createCache<Message extends object>(
  encode: (message: Message) => Uint8Array,
): (message: Message) => Uint8Array {
  const known = new WeakMap<Message, Uint8Array>();
  return (message) => {
    const before = known.get(message);
    if (before !== undefined) return before;
    const bytes = Uint8Array.from(encode(message));
    known.set(message, bytes);
    return bytes;
  };
}

const endpointBytes = createCache<flow.Endpoint.$Properties>((message) => flow.Endpoint.encode(message).finish());
const policyBytes = createCache<flow.Policy.$Properties>((message) => flow.Policy.encode(message).finish());
const deviceBytes = createCache<flow.NetworkInterface.$Properties>((message) =>
  flow.NetworkInterface.encode(message).finish(),
);
const emitterBytes = createCache<flow.Emitter.$Properties>((message) => flow.Emitter.encode(message).finish());

const ethernetBytes = createCache<flow.Ethernet.$Properties>((message) => flow.Ethernet.encode(message).finish());
const serviceBytes = createCache<flow.Service.$Properties>((message) => flow.Service.encode(message).finish());

const policyFields = [
  [21_001, 'egressAllowedBy'],
  [21_002, 'ingressAllowedBy'],
  [21_004, 'egressDeniedBy'],
  [21_005, 'ingressDeniedBy'],
] as const;

function ends(out: Output, each: Flow): void {
  const { ethernet, IP, l4, source, destination } = each;
  if (ethernet) chunk(out, 4, ethernetBytes(ethernet));
  if (IP) {
    small(out, 5, () => {
      text(out, 1, IP.source);
      text(out, 2, IP.destination);
      number(out, 3, IP.ipVersion);
      flag(out, 4, IP.encrypted);
      text(out, 5, IP.sourceXlated);
    });
  }
  if (l4) small(out, 6, () => layer4(out, l4));
  if (source) chunk(out, 8, endpointBytes(source));
  if (destination) chunk(out, 9, endpointBytes(destination));
}

function event(out: Output, each: Flow): void {
  const { eventType, isReply } = each;
  flag(out, 16, each.reply);
  if (eventType) {
    small(out, 19, () => {
      number(out, 1, eventType.type);
      number(out, 2, eventType.subType);
    });
  }
  if (each.sourceService) chunk(out, 20, serviceBytes(each.sourceService));
  if (each.destinationService) chunk(out, 21, serviceBytes(each.destinationService));
  number(out, 22, each.trafficDirection);
  number(out, 23, each.policyMatchType);
  number(out, 24, each.traceObservationPoint);
  number(out, 25, each.dropReasonDesc);
  if (isReply) small(out, 26, () => flag(out, 1, isReply.value));
}

function rest(out: Output, each: Flow): void {
  const { l7, traceContext, interface: device, emitter } = each;
  if (l7) chunk(out, 15, flow.Layer7.encode(l7).finish());
  if (device) chunk(out, 28, deviceBytes(device));
  number(out, 29, each.proxyPort);
  if (traceContext) chunk(out, 30, flow.TraceContext.encode(traceContext).finish());
  number(out, 32, each.socketCookie);
  number(out, 33, each.cgroupId);
  text(out, 34, each.uuid);
  number(out, 36, each.traceReason);
  each.nodeLabels?.forEach((label) => chunk(out, 37, Buffer.from(label)));
  if (emitter) chunk(out, 41, emitterBytes(emitter));
  for (const [field, property] of policyFields) {
    each[property]?.forEach((policy) => chunk(out, field, policyBytes(policy)));
  }
  text(out, 100_000, each.Summary);
}

/** Fields that a node of ours never sets; a flow with one of them goes through the general encoder. */
export const rareFields = [
  ...(['sourceNames', 'destinationNames', 'debugCapturePoint'] as const),
  ...(['sockXlatePoint', 'authType', 'file', 'tunnel', 'ipTraceId', 'policyLog'] as const),
  ...(['aggregate', 'extensions'] as const),
] satisfies readonly (keyof Flow)[];

const isSet = (value: unknown): boolean => Boolean(value) && !(Array.isArray(value) && value.length === 0);

function body(out: Output, each: Flow): void {
  if (each.time) small(out, 1, () => time(out, each.time ?? {}));
  number(out, 2, each.verdict);
  number(out, 3, each.dropReason);
  ends(out, each);
  number(out, 10, each.Type);
  text(out, 11, each.nodeName);
  event(out, each);
  rest(out, each);
}

const lengthSum = (sum: number, each: string | null | undefined): number => sum + (each?.length ?? 0);

/** Makes an encoder with a buffer of its own, which grows with the largest flow. */
export function createFlowEncoder(): FlowEncoder {
  const inner: Output = { bytes: Buffer.allocUnsafe(bytesInitial), at: 0 };

  const sizeBound = (each: Flow): number =>
    2_048 +
    3 * [each.Summary, each.nodeName, each.uuid, each.IP?.source, each.IP?.destination].reduce(lengthSum, 0) +
    [each.source, each.destination].reduce((sum, end) => sum + (end ? endpointBytes(end).length : 0), 0) +
    [each.sourceService, each.destinationService].reduce((sum, it) => sum + (it ? serviceBytes(it).length : 0), 0) +
    policyFields.reduce((sum, [, property]) => sum + (each[property]?.length ?? 0) * 1_024, 0) +
    (each.nodeLabels?.reduce((sum, label) => sum + 3 * label.length + 8, 0) ?? 0) +
    (each.l7 ? flow.Layer7.encode(each.l7).len : 0);

  const encodeBody = (each: Flow): Uint8Array => {
    if (rareFields.some((field) => isSet(each[field]))) return flow.Flow.encode(each).finish();
    const bound = sizeBound(each);
    if (inner.bytes.length < bound) inner.bytes = Buffer.allocUnsafe(2 * bound);
    inner.at = 0;
    body(inner, each);
    return inner.bytes.subarray(0, inner.at);
  };

  return {
    encode(each) {
      const flowBytes = encodeBody(each);
      const out: Output = {
        bytes: Buffer.allocUnsafe(flowBytes.length + 3 * (each.nodeName?.length ?? 0) + 64),
        at: 0,
      };
      chunk(out, 1, flowBytes);
      text(out, 1_000, each.nodeName);
      if (each.time) small(out, 1_001, () => time(out, each.time ?? {}));
      return out.bytes.subarray(0, out.at);
    },
  };
}
