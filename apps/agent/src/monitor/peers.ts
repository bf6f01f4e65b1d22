// SPDX-License-Identifier: Apache-2.0
import { formatIpAddress, type IpAddress } from '@weir/model';
import type { weir } from '@weir/proto';
import type { EndpointTable } from '../endpoint/endpoint-table.ts';
import type { IdentitySource } from '../identity/identity-source.ts';

/** One end of a flow as the kernel or the proxy reports it. */
export interface SeenEnd {
  readonly address: IpAddress;
  readonly port: number;
  readonly identity: number;
  /** 0: not known to be one of this node. */
  readonly endpointId: number;
}

/** Says who the ends of flows are. */
export interface Peers {
  describe(end: SeenEnd): weir.agent.v1.IMonitorPeer;
}

/** Names come from the node's endpoints, labels from what is known of identities. */
export function createPeers(options: {
  readonly table: EndpointTable;
  readonly identities: Pick<IdentitySource, 'labelsOf'>;
}): Peers {
  const { table, identities } = options;
  return {
    describe({ address, port, identity, endpointId }) {
      const text = formatIpAddress(address);
      const endpoint = endpointId === 0 ? table.findAddress(text) : table.get(endpointId);
      const { namespace = '', pod = '' } = endpoint?.record ?? {};
      const labels = identities.labelsOf(identity)?.labels ?? [];
      return {
        address: text,
        port,
        identity,
        endpointId: endpoint?.record.id ?? 0,
        namespace,
        pod,
        labels: labels.map(({ source, key, value }) => `${source}:${key}${value === '' ? '' : `=${value}`}`),
      };
    },
  };
}
