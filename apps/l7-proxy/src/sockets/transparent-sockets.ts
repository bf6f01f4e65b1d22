// SPDX-License-Identifier: Apache-2.0
import { closeSync } from 'node:fs';
import { connectTcp, listenTcp } from '@weir/bpf-loader-node';
import { acceptOn, keepAliveInitialDelayMs } from './accepting-server.ts';
import { socketFromDescriptor } from './adopt-socket.ts';
import type { SocketFactory } from './socket-factory.ts';

export interface TransparentSocketsOptions {
  /** 0: any that is free. */
  readonly port: number;
  /** SO_MARK of the connections to clients, by which the host routes them to the datapath. */
  readonly clientMark: number;
  /** SO_MARK of the connections to servers. */
  readonly serverMark: number;
}

/**
 * Sockets that stand in for both ends of a connection: the listener takes what the datapath hands over, whatever its
 * destination, and the second leg comes from the client's own address. Needs CAP_NET_ADMIN.
 */
export function createTransparentSockets({ port, clientMark, serverMark }: TransparentSocketsOptions): SocketFactory {
  return {
    listen(handler) {
      const fd = listenTcp({ address: '::', port, dualStack: true, transparent: true, mark: clientMark });
      return acceptOn({ fd }, handler);
    },
    async connect(flow, timeoutMs) {
      const fd = await connectTcp({
        address: flow.destination,
        port: flow.destinationPort,
        source: { address: flow.source },
        mark: serverMark,
        timeoutMs,
      });
      return {
        open: (receiver) => socketFromDescriptor(fd, receiver).setKeepAlive(true, keepAliveInitialDelayMs),
        reject: () => closeSync(fd),
      };
    },
  };
}
