// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { addressesOf } from '../endpoint/endpoint.ts';
import type { EndpointManager } from '../endpoint/endpoint-manager.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { AddressPool } from '../ipam/address-pool.ts';
import { gatewayMac } from '../node/node-network.ts';
import type { CniRequest } from './cni-request.ts';
import { cniResult } from './cni-result.ts';
import type { CniHandler } from './cni-server.ts';
import type { PodNetwork } from './pod-network.ts';

export interface CniHandlerOptions {
  readonly manager: EndpointManager;
  readonly table: EndpointTable;
  readonly podNetwork: PodNetwork;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
}

/** The commands of the CNI specification, on the endpoints of the node. */
export function createCniHandler(options: CniHandlerOptions): CniHandler {
  const { manager, table, podNetwork, pools } = options;

  const resultOf = ({ record }: Endpoint, cniVersion: string): object => {
    const [ipv4, ipv6] = addressesOf(record);
    const pod = {
      ...{ ifName: record.ifName, netns: record.netns, mac: record.mac, mtu: record.mtu },
      ...{ hostInterface: record.hostInterface, hostMac: gatewayMac, ipv4, ipv6 },
      ipv4Gateway: pools.ipv4.router,
      ipv6Gateway: pools.ipv6.router,
    };
    return cniResult(pod, cniVersion);
  };

  const check = async (request: CniRequest): Promise<undefined> => {
    const endpoint = table.find(request);
    const what = `the interface "${request.ifName}" of container "${request.containerId}"`;
    if (endpoint === undefined) throw new WeirError('NOT_FOUND', `There is no endpoint for ${what}`);
    if (endpoint.state !== 'ready') {
      throw new WeirError('UNAVAILABLE', `The endpoint for ${what} is ${endpoint.state}: ${endpoint.reason ?? ''}`);
    }
    const found = await podNetwork.addressesOf(request);
    const { ipv4, ipv6 } = endpoint.record;
    for (const expected of [`${ipv4}/32`, `${ipv6}/128`]) {
      if (!found.includes(expected)) {
        const having = found.join(', ') || 'no address';
        throw new WeirError('FAILED_PRECONDITION', `${what} has ${having}; expected ${expected}`);
      }
    }
    return undefined;
  };

  const collectGarbage = async ({ validAttachments }: CniRequest): Promise<undefined> => {
    const valid = new Set(validAttachments.map(({ containerId, ifName }) => `${containerId}/${ifName}`));
    const stale = table.list().filter(({ record }) => !valid.has(`${record.containerId}/${record.ifName}`));
    for (const { record } of stale) await manager.remove(record);
    return undefined;
  };

  return async (request) => {
    switch (request.command) {
      case 'ADD':
        return resultOf(await manager.add(request), request.cniVersion);
      case 'DEL':
        await manager.remove(request);
        return undefined;
      case 'CHECK':
        return check(request);
      case 'GC':
        return collectGarbage(request);
      case 'STATUS':
        return undefined;
    }
  };
}
