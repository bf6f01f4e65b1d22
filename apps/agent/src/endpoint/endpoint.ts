// SPDX-License-Identifier: Apache-2.0
import type { DatapathEndpoint } from '@weir/datapath-maps';
import { canFollow, type EndpointState, type IpAddress, type LabelSet, parseIpAddress } from '@weir/model';
import { assert } from '@weir/errors';
import type { EndpointRecord } from './endpoint-record.ts';

/** An endpoint of this node as the agent knows it. Changed by its manager only. */
export interface Endpoint {
  readonly record: EndpointRecord;
  readonly state: EndpointState;
  /** Why it is not ready. */
  readonly reason: string | undefined;
  /** Undefined until it is known. */
  readonly identity: number | undefined;
  /** The number of its policy; absent until it is ready for the first time. */
  readonly subject?: number;
  /** Those that make its identity. */
  readonly labels: LabelSet;
}

/** The same endpoint in another state. A transition that the life cycle does not have is a bug. */
export function moved(endpoint: Endpoint, state: EndpointState, reason?: string): Endpoint {
  assert(
    canFollow({ from: endpoint.state, to: state }),
    `endpoint ${endpoint.record.id} cannot go from ${endpoint.state} to ${state}`,
  );
  return { ...endpoint, state, reason };
}

/** Both addresses of an endpoint. */
export const addressesOf = ({ ipv4, ipv6 }: EndpointRecord): readonly [IpAddress, IpAddress] => [
  parseIpAddress(ipv4),
  parseIpAddress(ipv6),
];

const macBytes = (mac: string): Uint8Array => Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));

/** What the datapath is told of an endpoint. */
export function datapathEndpoint(
  record: EndpointRecord,
  owner: Pick<DatapathEndpoint, 'identity' | 'policySlot' | 'isAudited' | 'traceDetail'>,
): DatapathEndpoint {
  const [ipv4, ipv6] = addressesOf(record);
  return { ifindex: record.hostIfindex, id: record.id, mac: macBytes(record.mac), ipv4, ipv6, ...owner };
}
