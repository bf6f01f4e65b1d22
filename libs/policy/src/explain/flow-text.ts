// SPDX-License-Identifier: Apache-2.0
// How people write a flow: its ends, its port and a request.
import {
  type Cidr,
  icmpPort,
  icmpTypeOf,
  type IpAddress,
  isLabelSource,
  type LabelSet,
  parseCidr,
  parseLabel,
  parseLabelSet,
  parsePort,
  parseProtocol,
  podLabels,
  protocolNumber,
  tryParseIpAddress,
} from '@weir/model';
import { WeirError } from '@weir/errors';
import type { FlowEnd, HttpRequest } from './explain-types.ts';

/** An end as it is written. Who has an address, or is a pod, only an agent knows. */
export type WrittenEnd =
  | Exclude<FlowEnd, { readonly kind: 'subject' }>
  | { readonly kind: 'address'; readonly address: IpAddress }
  /** A number of an endpoint, `namespace/pod`, or the id of a container. */
  | { readonly kind: 'endpoint'; readonly reference: string };

/** What {@link parseFlowEnd} reads, for people. */
export const flowEndForms =
  'an address, a prefix, NAMESPACE/POD, endpoint:NUMBER, identity:NUMBER, NAMESPACE/KEY=VALUE,…, SOURCE:KEY=VALUE,…, ' +
  'or one of host, world, remote-node, health, init, unmanaged';

const reservedNames = ['host', 'world', 'remote-node', 'health', 'init', 'unmanaged'];

function tryParseCidr(text: string): Cidr | undefined {
  try {
    return parseCidr(text, { hostBits: 'clear' });
  } catch {
    return undefined;
  }
}

const hasSource = (text: string): boolean => isLabelSource(text.split(':')[0] ?? '') && text.includes(':');

/** Labels with a source are taken as they are; without, they are those of a pod, which has a namespace besides. */
function readLabels(text: string): LabelSet {
  const [, namespace = 'default', list = ''] = /^(?:([a-z0-9-]+)\/(?=[^,]*=))?(.*)$/s.exec(text) ?? [];
  const items = list.split(',').map((item) => item.trim());
  if (items.every(hasSource)) return parseLabelSet(items);
  const labels = items.map((item) => (hasSource(item) ? parseLabel(item) : parseLabel(`k8s:${item}`)));
  const pod = podLabels({ namespace, labels: Object.fromEntries(labels.map(({ key, value }) => [key, value])) });
  return pod.labels;
}

/** Reads an end of a flow. Throws INVALID_ARGUMENT. */
export function parseFlowEnd(text: string): WrittenEnd {
  if (text === '') throw new WeirError('INVALID_ARGUMENT', `End of a flow is empty; expected ${flowEndForms}`);
  const [, kind, number] = /^(identity|endpoint):(\d+)$/.exec(text) ?? [];
  if (kind === 'identity') return { kind, id: Number(number) };
  if (kind === 'endpoint' && number !== undefined) return { kind, reference: number };
  const address = tryParseIpAddress(text);
  if (address !== undefined) return { kind: 'address', address };
  const prefix = tryParseCidr(text);
  if (prefix !== undefined) return { kind: 'prefix', prefix };
  if (reservedNames.includes(text)) return { kind: 'labels', labels: parseLabelSet([`reserved:${text}`]) };
  if (text.includes('=') || hasSource(text)) return { kind: 'labels', labels: readLabels(text) };
  return { kind: 'endpoint', reference: text };
}

/** What of a flow is looked at besides its ends. */
export interface FlowPort {
  readonly protocol: number;
  /** For ICMP the type plus 256, for protocols without ports 0. */
  readonly port: number;
}

const withPorts: readonly number[] = [protocolNumber.TCP, protocolNumber.UDP, protocolNumber.SCTP];

/** Reads `80/tcp`, `53/udp`, `8/icmp`, `EchoRequest/icmpv6`, `47`: without a protocol, a port is one of TCP. */
export function parseFlowPort(text: string): FlowPort {
  const [port = '', name] = text.split('/');
  if (name === undefined && !/^\d+$/.test(port)) {
    const protocol = parseProtocol(port);
    if (!withPorts.includes(protocol) && protocol !== 0 && protocol !== 1 && protocol !== 58)
      return { protocol, port: 0 };
    throw new WeirError('INVALID_ARGUMENT', `"${text}" says no port; expected PORT/PROTOCOL, as in 80/tcp or 8/icmp`);
  }
  const protocol = parseProtocol(name ?? 'tcp');
  if (withPorts.includes(protocol)) return { protocol, port: parsePort(port) };
  const isIcmp = protocol === protocolNumber.ICMP || protocol === protocolNumber.ICMPv6;
  const type = isIcmp ? icmpTypeOf(protocol === protocolNumber.ICMP ? 'IPv4' : 'IPv6', port) : undefined;
  if (type !== undefined) return { protocol, port: icmpPort(type) };
  const expected = isIcmp ? 'a type of ICMP message, as in 8/icmp' : 'a protocol that has ports, as in 80/tcp';
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a port of a flow; expected ${expected}`);
}

/** Reads `METHOD PATH`, with headers as `Name: value`. Throws INVALID_ARGUMENT. */
export function parseHttpRequest(text: string, headers: readonly string[] = []): HttpRequest {
  const [, method, path] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\/\S*)$/.exec(text) ?? [];
  if (method === undefined || path === undefined) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a request; expected METHOD PATH, as in "GET /v1/x"`);
  }
  const read = headers.map((header) => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(header) ?? [];
    if (name === undefined || value === undefined) {
      throw new WeirError('INVALID_ARGUMENT', `"${header}" is not a header; expected Name: value`);
    }
    return { name, value };
  });
  const host = read.find(({ name }) => name.toLowerCase() === 'host')?.value;
  return { method, path, ...(host !== undefined && { host }), headers: read };
}
