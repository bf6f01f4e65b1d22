// SPDX-License-Identifier: Apache-2.0
import { peer, PeerDefinition } from '@weir/proto';
import { createStreamQueue, type RpcService, rpcService, type StreamQueue } from '@weir/rpc';

/** A node whose flows can be asked for. */
export interface PeerNode {
  readonly name: string;
  /** `host:port` or `unix:///path`; empty: not known. */
  readonly address: string;
  /** What its certificate carries; undefined: it speaks no TLS. */
  readonly serverName?: string;
}

/** The nodes that are known, and the service that tells of them. */
export interface Peers {
  readonly service: RpcService;
  /** Says what nodes there are now; whoever listens is told what is different. */
  set(nodes: readonly PeerNode[]): void;
}

type Change = peer.ChangeNotification.$Properties;

const { ChangeNotificationType } = peer;
const changesMax = 65_536;

const changeOf = ({ name, address, serverName }: PeerNode, type: peer.ChangeNotificationType): Change => ({
  ...{ name, address, type },
  ...(serverName !== undefined && { tls: { serverName } }),
});
const isSame = (a: PeerNode, b: PeerNode): boolean => a.address === b.address && a.serverName === b.serverName;

/** Makes the list, empty at first. */
export function createPeers(): Peers {
  let known = new Map<string, PeerNode>();
  const listeners = new Set<StreamQueue<Change>>();
  const tell = (change: Change): void => listeners.forEach((queue) => queue.push(change));
  return {
    set(nodes) {
      const next = new Map(nodes.map((node) => [node.name, node]));
      for (const node of known.values()) {
        if (!next.has(node.name)) tell(changeOf(node, ChangeNotificationType.PEER_DELETED));
      }
      for (const node of next.values()) {
        const before = known.get(node.name);
        if (before === undefined) tell(changeOf(node, ChangeNotificationType.PEER_ADDED));
        else if (!isSame(before, node)) tell(changeOf(node, ChangeNotificationType.PEER_UPDATED));
      }
      known = next;
    },
    service: rpcService(PeerDefinition, {
      async *notify(_request, { signal }) {
        const queue = createStreamQueue<Change>({ itemsMax: changesMax, overflow: 'fail', signal });
        for (const node of known.values()) queue.push(changeOf(node, ChangeNotificationType.PEER_ADDED));
        listeners.add(queue);
        try {
          yield* queue;
        } finally {
          listeners.delete(queue);
        }
      },
    }),
  };
}
