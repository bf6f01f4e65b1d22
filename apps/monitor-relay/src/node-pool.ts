// SPDX-License-Identifier: Apache-2.0
import { peer, PeerDefinition } from '@weir/proto';
import { createRpcClient, type RpcClient, type TlsIdentity } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { nodeDefinition } from './timed-response.ts';

/** A node as the relay knows it. */
export interface PooledNode {
  readonly name: string;
  /** As the node that told of it gives it. */
  readonly address: string;
  /** What its certificate must carry; undefined: it speaks no TLS. */
  readonly serverName: string | undefined;
  /** Undefined: it cannot be asked. */
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

/** Nobody who may be somebody else is asked: one who shows no certificate, or one whose name we cannot check. */
function connectTo(
  address: string,
  serverName: string | undefined,
  tls: TlsIdentity | undefined,
): PooledNode['client'] {
  const target = clientAddress(address);
  if (target === undefined) return undefined;
  const isTcp = !target.startsWith('unix:');
  if (isTcp && (tls === undefined) !== (serverName === undefined)) return undefined;
  const secure = tls !== undefined && serverName !== undefined && { tls: { identity: tls, serverName } };
  return createRpcClient(nodeDefinition, { address: target, deadlineMs: requestDeadlineMs, ...secure });
}

/** Listens to the peer service of a node, and keeps a client for each node that it tells of. */
export function createNodePool(options: {
  readonly peerAddress: string;
  /** What the certificate of the peer service carries, if that is asked over TCP. */
  readonly peerServerName: string | undefined;
  /** What is shown over TCP, where nothing goes in clear text then. */
  readonly tls: TlsIdentity | undefined;
  readonly retryDelayMs: number;
  readonly logger: Logger;
}): NodePool {
  const { peerAddress, peerServerName, tls, retryDelayMs, logger } = options;
  const nodes = new Map<string, PooledNode>();
  const peers = createRpcClient(PeerDefinition, {
    address: peerAddress,
    ...(tls && peerServerName !== undefined && { tls: { identity: tls, serverName: peerServerName } }),
  });
  const stopping = new AbortController();
  let isListening = false;

  const remove = (name: string): void => {
    const node = nodes.get(name);
    if (node === undefined) return;
    node.client?.close();
    nodes.delete(name);
    logger.info({ peer: name }, 'Node is not asked any more');
  };
  const put = (name: string, address: string, serverName: string | undefined): void => {
    const before = nodes.get(name);
    if (before?.address === address && before.serverName === serverName) return;
    remove(name);
    const client = connectTo(address, serverName, tls);
    nodes.set(name, { name, address, serverName, client });
    if (client !== undefined) return logger.info({ peer: name, address }, 'Node is asked for flows');
    const reason = clientAddress(address) === undefined ? 'it has no address' : 'it and we do not both speak TLS';
    logger.warn({ peer: name, address, reason }, 'Node cannot be asked for flows');
  };

  /** Until the stream ends. What was known before and is not told of again soon is forgotten. */
  const listen = async (): Promise<void> => {
    const untold = new Set(nodes.keys());
    let forget: NodeJS.Timeout | undefined;
    try {
      for await (const { name, address, type, tls: shown } of peers.notify({}, { signal: stopping.signal })) {
        isListening = true;
        untold.delete(name);
        forget ??= setTimeout(() => untold.forEach(remove), replayMs);
        if (type === ChangeNotificationType.PEER_DELETED) remove(name);
        else put(name, address, shown?.serverName || undefined);
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
