// SPDX-License-Identifier: Apache-2.0
import { Socket } from 'node:net';
import { WeirError } from '@weir/errors';
import { acceptOn, keepAliveInitialDelayMs } from './accepting-server.ts';
import { socketFromAccepted } from './adopt-socket.ts';
import type { PendingSocket, SocketFactory } from './socket-factory.ts';

/** An address that is reached without the datapath. */
export interface PlainEndpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Ordinary sockets, for tests and benchmarks: accepts at `listen`, and forwards everything to `upstream`, whatever address
 * the client has dialled.
 */
export function createPlainSockets(endpoints: { listen: PlainEndpoint; upstream: PlainEndpoint }): SocketFactory {
  return {
    listen: (handler) => acceptOn({ ...endpoints.listen }, handler),
    connect: (_flow, timeoutMs) => connectTo(endpoints.upstream, timeoutMs),
  };
}

function connectTo({ host, port }: PlainEndpoint, timeoutMs: number): Promise<PendingSocket> {
  return new Promise((resolve, reject) => {
    const socket = new Socket({ allowHalfOpen: true });
    const giveUp = (error: WeirError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const onError = (cause: Error): void =>
      giveUp(new WeirError('UNAVAILABLE', `Cannot connect to ${host} port ${port}: ${cause.message}`, { cause }));
    const late = (): void =>
      giveUp(new WeirError('TIMEOUT', `${host} port ${port} did not accept within ${timeoutMs} ms`));
    const timer = setTimeout(late, timeoutMs);
    socket.once('error', onError);
    socket.setNoDelay(true).setKeepAlive(true, keepAliveInitialDelayMs).pause();
    socket.connect({ host, port }, () => {
      clearTimeout(timer);
      socket.off('error', onError);
      resolve({
        open: (receiver) => socketFromAccepted(socket, receiver),
        reject: () => void socket.resetAndDestroy(),
      });
    });
  });
}
