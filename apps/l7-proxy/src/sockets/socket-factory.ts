// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { Flow } from '../flows/flow-table.ts';

/** Where a socket puts what it reads: `callback` is told how many bytes of `buffer` are new; false stops reading. */
export interface Receiver {
  readonly buffer: Buffer;
  readonly callback: (length: number) => boolean;
}

/** A connection of which nothing is read yet. One of its methods is called, once. */
export interface PendingSocket {
  /** Starts to read into `receiver`. */
  open(receiver: Receiver): Socket;
  /** Resets the connection. */
  reject(): void;
}

/** A connection that was handed in. */
export interface AcceptedSocket extends PendingSocket {
  readonly flow: Flow;
}

/** Told what happens on a listener. */
export interface AcceptHandler {
  accept(socket: AcceptedSocket): void;
  /** A connection could not be accepted; the next one may. */
  onError(error: Error): void;
}

/** A socket that accepts connections. */
export interface Listener {
  readonly port: number;
  /** Stops accepting; what was accepted before stays. */
  close(): void;
}

/** Where the proxy's connections come from. Sockets allow half-open connections and send without delay. */
export interface SocketFactory {
  /** Starts to accept; called once. UNAVAILABLE when it cannot. */
  listen(handler: AcceptHandler): Promise<Listener>;
  /** Connects to the destination of `flow` from the address of its source. UNAVAILABLE, or TIMEOUT after `timeoutMs`. */
  connect(flow: Flow, timeoutMs: number): Promise<PendingSocket>;
}
