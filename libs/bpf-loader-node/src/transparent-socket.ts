// SPDX-License-Identifier: Apache-2.0
import { isIPv6 } from 'node:net';
import { createDeadline, type DeadlineOptions } from './deadline.ts';
import type { NetnsReference } from './netns-path.ts';
import { useNamespace } from './network-namespace.ts';
import { socketAddon, type ConnectCallback } from './socket-binding.ts';
import { encodeOptions, type SocketOption } from './tcp-options.ts';

/** One end of a TCP connection. */
export interface TcpEndpoint {
  /** IPv4 or IPv6, in text form and without a zone. */
  readonly address: string;
  readonly port: number;
}

/** A listener to be made. */
export interface TcpListenOptions extends TcpEndpoint {
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
  /** Takes connections to addresses that are not this machine's (IP_TRANSPARENT). Default: no. */
  readonly transparent?: boolean;
  /** SO_MARK of the listener and of the connections it takes. */
  readonly mark?: number;
  /** An IPv6 listener takes IPv4 connections as well. Default: no. */
  readonly dualStack?: boolean;
  /** How many connections wait to be taken; the system's limit applies as well. Default: 511. */
  readonly backlog?: number;
}

/** A connection to be made. */
export interface TcpConnectOptions extends TcpEndpoint, DeadlineOptions {
  /** Where it comes from; any address, this machine's or not. Port 0, the default, lets the kernel choose one. */
  readonly source?: { readonly address: string; readonly port?: number };
  /** Allows a source that is not this machine's (IP_TRANSPARENT). Default: yes if there is a source. */
  readonly transparent?: boolean;
  /** SO_MARK, there before the first packet is sent. */
  readonly mark?: number;
  /** Sends small writes at once (TCP_NODELAY). Default: yes. */
  readonly noDelay?: boolean;
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
}

const backlogDefault = 511;

const endpointText = ({ address, port }: TcpEndpoint): string =>
  isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;

const transparentOption = (address: string): SocketOption =>
  isIPv6(address) ? ['IPV6_TRANSPARENT', 1] : ['IP_TRANSPARENT', 1];

/**
 * Makes a TCP listener and returns its descriptor, for `net.Server.listen({ fd })`. The descriptor belongs to the caller.
 */
export function listenTcp(options: TcpListenOptions): number {
  const { address, port, netns, transparent = false, mark, dualStack = false, backlog = backlogDefault } = options;
  const socketOptions: SocketOption[] = [['SO_REUSEADDR', 1]];
  if (isIPv6(address)) socketOptions.push(['IPV6_V6ONLY', dualStack ? 0 : 1]);
  if (transparent) socketOptions.push(transparentOption(address));
  if (mark !== undefined) socketOptions.push(['SO_MARK', mark]);
  const encoded = encodeOptions(socketOptions);
  return useNamespace(netns, (place) => socketAddon().tcpListen(place, address, port, encoded, backlog));
}

function connectOptions({ address, source, transparent, mark, noDelay = true }: TcpConnectOptions): Int32Array {
  const options: SocketOption[] = [];
  if (transparent ?? source !== undefined) options.push(transparentOption(address));
  if (source !== undefined) {
    // Without a port the kernel chooses one at connect(), when it knows the peer: a port then serves many peers.
    options.push((source.port ?? 0) === 0 ? ['IP_BIND_ADDRESS_NO_PORT', 1] : ['SO_REUSEADDR', 1]);
  }
  if (mark !== undefined) options.push(['SO_MARK', mark]);
  if (noDelay) options.push(['TCP_NODELAY', 1]);
  return encodeOptions(options);
}

/**
 * Connects, from any source address, and resolves with the descriptor of the connection, for
 * `new net.Socket({ fd, readable: true, writable: true })`. The descriptor belongs to the caller. A peer on this machine is
 * connected before the call returns. Rejects with UNAVAILABLE if the peer refuses or cannot be reached, TIMEOUT, CANCELLED;
 * nothing is left open then.
 */
export async function connectTcp(options: TcpConnectOptions): Promise<number> {
  const { address, port, source, netns } = options;
  const deadline = createDeadline(`Connecting to ${endpointText(options)}`, options);
  const native = socketAddon();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const callback: ConnectCallback = (error, fd) => {
    if (fd === undefined) reject(error);
    else resolve(fd);
  };
  const from = [source?.address, source?.port ?? 0] as const;
  const encoded = connectOptions(options);
  const started = useNamespace(netns, (place) => native.tcpConnect(place, ...from, address, port, encoded, callback));
  if ('fd' in started) return started.fd;
  // A handle that is closed is never called back for, and one that has been called back for is closed.
  const stop = deadline.start((reason) => {
    if (native.close(started.handle)) reject(reason);
  });
  return await promise.finally(stop);
}
