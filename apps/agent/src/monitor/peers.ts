// SPDX-License-Identifier: Apache-2.0
import { formatIpAddress, type IpAddress } from '@weir/model';
import type { weir } from '@weir/proto';

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

/** Names come from the node's endpoints and what other nodes tell, labels from what is known of identities. */
export function createPeers(options: {
  /** By number, or by address where the number is 0. */
  readonly endpointOf: (id: number, address: string) => { id: number; namespace: string; pod: string } | undefined;
  /** A pod of another node. */
  readonly remotePodOf: (address: string) => { namespace: string; pod: string } | undefined;
  /** In the form `source:key=value`. */
  readonly labelsOf: (identity: number) => readonly string[];
}): Peers {
  const { endpointOf, remotePodOf, labelsOf } = options;
  return {
    describe({ address, port, identity, endpointId }) {
      const text = formatIpAddress(address);
      const endpoint = endpointOf(endpointId, text);
      const { namespace = '', pod = '' } = endpoint ?? remotePodOf(text) ?? {};
      const id = endpoint?.id ?? 0;
      return { address: text, port, identity, endpointId: id, namespace, pod, labels: [...labelsOf(identity)] };
    },
  };
}
