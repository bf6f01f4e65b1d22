// SPDX-License-Identifier: Apache-2.0
import type { ClusterNode } from '@weir/identity-client';
import { nodeServerName, type PeerNode } from '@weir/observer';
import { grpcTarget, parseRpcAddress } from '@weir/rpc';

export interface PeerNodesOptions {
  readonly self: string;
  /** Where this node serves flows. */
  readonly bound: readonly string[];
  /** The nodes that are known, this one among them or not. */
  readonly nodes: readonly ClusterNode[];
  /** Nodes show certificates where they serve flows over TCP. */
  readonly isEncrypted: boolean;
}

// Hubble's.
const portDefault = 4_244;
const wildcards: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

const at = (node: ClusterNode | undefined, port: number): string => {
  const [host] = node?.addresses ?? [];
  return host === undefined ? '' : grpcTarget({ kind: 'tcp', host, port, loopback: false });
};

/**
 * The nodes that whoever asks this one is told of. Others serve flows at the port that this one does, at the address that
 * they announce first; this one is named by the address that it is bound to, or by its socket.
 */
export function peerNodes({ self, bound, nodes, isEncrypted }: PeerNodesOptions): readonly PeerNode[] {
  const tcp = bound.map(parseRpcAddress).find((address) => address.kind === 'tcp');
  const port = tcp?.port ?? portDefault;
  const own = nodes.find(({ name }) => name === self);
  const socket = bound.find((address) => address.startsWith('unix:'))?.replace(/^unix:/, 'unix://') ?? '';
  const bySelf = tcp === undefined ? '' : wildcards.has(tcp.host) ? at(own, port) : grpcTarget(tcp);
  const others = nodes.filter(({ name }) => name !== self);
  const overTcp = (name: string, address: string): PeerNode => ({
    ...{ name, address },
    ...(isEncrypted && { serverName: nodeServerName(name) }),
  });
  return [
    bySelf === '' ? { name: self, address: socket } : overTcp(self, bySelf),
    ...others.map((node) => overTcp(node.name, at(node, port))),
  ];
}

/** Tells whoever asks for nodes of those that there are, from the moment on when this node serves flows. */
export function createPeerTeller(options: {
  readonly self: string;
  readonly isEncrypted: boolean;
  readonly nodes: () => ReadonlyMap<string, ClusterNode>;
  readonly tell: (nodes: readonly PeerNode[]) => void;
}) {
  const { self, nodes, tell, isEncrypted } = options;
  let bound: readonly string[] = [];
  let told = '';
  const nodesChanged = (): void => {
    if (bound.length === 0) return;
    const peers = peerNodes({ self, bound, nodes: [...nodes().values()], isEncrypted });
    // Most changes of a cluster are about pods.
    const text = JSON.stringify(peers);
    if (text !== told) tell(peers);
    told = text;
  };
  return {
    nodesChanged,
    boundTo(addresses: readonly string[]) {
      bound = addresses;
      nodesChanged();
    },
  };
}
