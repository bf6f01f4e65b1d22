// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Cluster } from '../cluster/cluster.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { addressesOf } from '../endpoint/endpoint.ts';
import type { EndpointManager } from '../endpoint/endpoint-manager.ts';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { Kubernetes } from '../kubernetes/kubernetes.ts';
import type { AddressPool } from '../ipam/address-pool.ts';
import { gatewayMac } from '../node/node-network.ts';
import { cniDetail } from './cni-error.ts';
import type { CniRequest } from './cni-request.ts';
import { cniResult } from './cni-result.ts';
import type { CniHandler } from './cni-server.ts';
import type { PodNetwork } from './pod-network.ts';

export interface CniHandlerOptions {
  readonly manager: EndpointManager;
  readonly table: EndpointTable;
  readonly podNetwork: PodNetwork;
  readonly pools: { readonly ipv4: AddressPool; readonly ipv6: AddressPool };
  /** Resolves when other nodes know the pod. Default: there are none. */
  readonly spread?: Cluster['spread'];
  /** Says what a pod is beside what the runtime says. Default: nobody does. */
  readonly kubernetes?: Pick<Kubernetes, 'describe' | 'added'> | undefined;
}

/** Makes an endpoint of a pod as the platform knows it. */
async function add(request: CniRequest, { manager, kubernetes }: CniHandlerOptions): Promise<Endpoint> {
  const isPod = request.pod !== request.containerId;
  if (kubernetes === undefined || !isPod) return manager.add(request);
  const endpoint = await manager.add(await kubernetes.describe(request));
  kubernetes.added(request);
  return endpoint;
}

/** Waits until others know a pod: the runtime starts it when ADD has returned. */
async function spreadFirst(endpoint: Endpoint, { spread }: CniHandlerOptions): Promise<Endpoint> {
  const { identity, record } = endpoint;
  if (identity !== undefined) await spread?.({ identity, addresses: [record.ipv4, record.ipv6] });
  return endpoint;
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

  /** Of one network: another one on the same node has runtimes of its own. All are tried, also when some fail. */
  const collectGarbage = async ({ network, validAttachments }: CniRequest): Promise<undefined> => {
    const valid = new Set(validAttachments.map(({ containerId, ifName }) => `${containerId}/${ifName}`));
    const stale = table
      .list()
      .filter(({ record }) => record.network === network && !valid.has(`${record.containerId}/${record.ifName}`));
    const results = await Promise.allSettled(stale.map(({ record }) => manager.remove(record)));
    const failed = results.filter((result) => result.status === 'rejected');
    if (failed.length > 0) {
      const { code, message } = WeirError.from(failed[0]?.reason);
      throw new WeirError(code, `${failed.length} of ${stale.length} attachments could not be removed: ${message}`);
    }
    return undefined;
  };

  const checkRoom = (): undefined => {
    for (const { allocatedCount, capacity } of [pools.ipv4, pools.ipv6]) {
      if (allocatedCount < capacity) continue;
      throw new WeirError('RESOURCE_EXHAUSTED', `All ${capacity} addresses for pods of this node are in use`, {
        details: cniDetail.notAvailable,
      });
    }
    return undefined;
  };

  return async (request) => {
    switch (request.command) {
      case 'ADD':
        return resultOf(await spreadFirst(await add(request, options), options), request.cniVersion);
      case 'DEL':
        await manager.remove(request);
        return undefined;
      case 'CHECK':
        return check(request);
      case 'GC':
        return collectGarbage(request);
      case 'STATUS':
        return checkRoom();
    }
  };
}
