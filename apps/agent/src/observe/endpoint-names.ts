// SPDX-License-Identifier: Apache-2.0
import type { FlowEndpoint } from '@weir/flow';
import type { flow } from '@weir/proto';
import type { NamedEndpoint } from './thread-messages.ts';
import { createVersions } from './versions.ts';

/** An endpoint as it was for some time, with what flows say of it, by its identity. */
export interface EndpointName extends NamedEndpoint {
  readonly ends: Map<number, FlowEndpoint>;
}

/** The endpoints of the node at any time that flows are kept of. */
export interface EndpointNames {
  put(endpoint: NamedEndpoint, atMs: number): void;
  remove(id: number, atMs: number): void;
  /** By number, or by address where the number is 0. */
  find(id: number, address: string, timeMs: number): EndpointName | undefined;
  /** The device of a number; without a name where it is not that of an endpoint. */
  device(ifindex: number, timeMs: number): flow.NetworkInterface.$Properties;
  prune(beforeMs: number): void;
}

// Devices that are not of endpoints are few: the uplinks and the host's own.
const devicesMax = 4_096;

/** Knows none at first. */
export function createEndpointNames(): EndpointNames {
  const byId = createVersions<number, EndpointName>();
  const byAddress = createVersions<string, EndpointName>();
  const byIfindex = createVersions<number, flow.NetworkInterface.$Properties>();
  const nameless = new Map<number, flow.NetworkInterface.$Properties>();

  const namelessDevice = (index: number): flow.NetworkInterface.$Properties => {
    const known = nameless.get(index) ?? { index, name: '' };
    if (nameless.size >= devicesMax) nameless.clear();
    nameless.set(index, known);
    return known;
  };

  return {
    put(endpoint, atMs) {
      const value = { ...endpoint, ends: new Map<number, FlowEndpoint>() };
      byId.put(endpoint.id, { sinceMs: atMs, value });
      for (const address of [endpoint.ipv4, endpoint.ipv6]) byAddress.put(address, { sinceMs: atMs, value });
      const device = { index: endpoint.hostIfindex, name: endpoint.hostInterface };
      byIfindex.put(endpoint.hostIfindex, { sinceMs: atMs, value: device });
    },
    remove(id, atMs) {
      const known = byId.latest(id);
      if (known === undefined) return;
      const gone = { sinceMs: atMs, value: undefined };
      byId.put(id, gone);
      byIfindex.put(known.hostIfindex, gone);
      for (const address of [known.ipv4, known.ipv6]) {
        if (byAddress.latest(address) === known) byAddress.put(address, gone);
      }
    },
    find: (id, address, timeMs) => (id === 0 ? byAddress.at(address, timeMs) : byId.at(id, timeMs)),
    device: (ifindex, timeMs) => byIfindex.at(ifindex, timeMs) ?? namelessDevice(ifindex),
    prune(beforeMs) {
      for (const versions of [byId, byAddress, byIfindex]) versions.prune(beforeMs);
    },
  };
}
