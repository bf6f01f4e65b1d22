// SPDX-License-Identifier: Apache-2.0
import { peer, PeerDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { nodeDefinition } from './timed-response.ts';

/** A node as the relay knows it. */
export interface PooledNode {
  readonly name: string;
  /** As the node that told of it gives it. */
  readonly address: string;
  readonly client: RpcClient<typeof nodeDefinition> | undefined;
}

/** The nodes that flows are asked of. */
export interface NodePool {
  list(): readonly PooledNode[];
  /** True while whoever tells of nodes can be reached. */
  readonly isListening: boolean;
  start(): void;
  stop(): void;
}

const { ChangeNotificationType } = peer;
const portDefault = 4_244;
// Well below the patience of whoever asks us.
const requestDeadlineMs = 2_000;
// Whom a peer service knows it tells at once.
const replayMs = 1_000;

/** An address of the peer service in the form of our client; undefined for what cannot be reached. */
export function clientAddress(text: string): string | undefined {
  if (text === '') return undefined;
  if (text.startsWith('unix://')) return `unix:${text.slice('unix://'.length)}`;
  if (text.startsWith('unix:')) return text;
  if (/\.sock$/.test(text) && text.startsWith('/')) return `unix:${text}`;
  if (/^\[.*\]:\d+$/.test(text) || /^[^:]+:\d+$/.test(text)) return text;
  return text.includes(':') ? `[${text}]:${portDefault}` : `${text}:${portDefault}`;
}

/** Listens to the peer service of a node, and keeps a client for each node that it tells of. */
export function createNodePool(options: {
  readonly peerAddress: string;
  readonly retryDelayMs: number;
  readonly logger: Logger;
}): NodePool {
  const { peerAddress, retryDelayMs, logger } = options;
  const nodes = new Map<string, PooledNode>();
  const peers = createRpcClient(PeerDefinition, { address: peerAddress });
  const stopping = new AbortController();
  let isListening = false;

  const remove = (name: string): void => {
    const node = nodes.get(name);
    if (node === undefined) return;
    node.client?.close();
    nodes.delete(name);
    logger.info({ peer: name }, 'Node is not asked any more');
  };
  const put = (name: string, address: string): void => {
    if (nodes.get(name)?.address === address) return;
    remove(name);
    const target = clientAddress(address);
    const client =
      target === undefined
        ? undefined
        : createRpcClient(nodeDefinition, { address: target, deadlineMs: requestDeadlineMs });
    nodes.set(name, { name, address, client });
    logger.info({ peer: name, address }, 'Node is asked for flows');
  };

  /** Until the stream ends. What was known before and is not told of again soon is forgotten. */
  const listen = async (): Promise<void> => {
    const untold = new Set(nodes.keys());
    let forget: NodeJS.Timeout | undefined;
    try {
      for await (const { name, address, type } of peers.notify({}, { signal: stopping.signal })) {
        isListening = true;
        untold.delete(name);
        forget ??= setTimeout(() => untold.forEach(remove), replayMs);
        if (type === ChangeNotificationType.PEER_DELETED) remove(name);
        else put(name, address);
      }
    } finally {
      clearTimeout(forget);
    }
  };
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await listen().catch((error: unknown) => {
        if (!stopping.signal.aborted) logger.warn({ address: peerAddress, error }, 'Nodes are not told of');
      });
      isListening = false;
      if (!stopping.signal.aborted) await new Promise((resolve) => setTimeout(resolve, retryDelayMs));
    }
  };

  return {
    list: () => [...nodes.values()],
    get isListening() {
      return isListening;
    },
    start: () => void run(),
    stop() {
      stopping.abort();
      peers.close();
      for (const name of [...nodes.keys()]) remove(name);
    },
  };
}
