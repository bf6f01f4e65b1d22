// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer } from '@weir/clock';
import type { AcceptedSocket, Listener } from '../sockets/socket-factory.ts';
import { ProxiedConnection } from './proxied-connection.ts';
import type { ExchangeServices } from './services.ts';

/** Takes connections from the datapath and serves them. */
export interface ProxyServer {
  /** Begins to accept, and tells on which port. */
  start(): Promise<number>;
  /** Accepts no more, lets running exchanges end for `deadlineMs`, and then drops what is left. */
  stop(options: { readonly deadlineMs: number }): Promise<void>;
  readonly connectionCount: number;
}

export interface ProxyServerOptions extends ExchangeServices {
  readonly connectionsMax: number;
  /** How often timeouts are looked at, and so how exact they are. */
  readonly sweepIntervalMs: number;
}

/** Nothing is accepted before `start`. */
export function createProxyServer(options: ProxyServerOptions): ProxyServer {
  const { clock, connectionsMax, flows, log, sockets, sweepIntervalMs, wallTime } = options;
  const connections = new Set<ProxiedConnection>();
  let listener: Listener | undefined;
  let cancelSweep: CancelTimer | undefined;
  let onEmpty: (() => void) | undefined;

  const sweep = (): void => {
    wallTime.follow();
    const nowMs = clock.monotonicMs();
    for (const connection of connections) connection.checkTimeouts(nowMs);
    cancelSweep = connections.size === 0 ? undefined : clock.schedule(sweepIntervalMs, sweep);
  };
  const refuse = (socket: AcceptedSocket, reason: string): void => {
    const { source, sourcePort, destination, destinationPort } = socket.flow;
    const address = `${destination} port ${destinationPort}`;
    log.error({ peer: `${source} port ${sourcePort}`, address, reason }, 'Refused a connection');
    socket.reject();
  };
  const accept = (socket: AcceptedSocket): void => {
    if (connections.size >= connectionsMax) return refuse(socket, `${connectionsMax} connections are open`);
    const policy = flows.lookup(socket.flow);
    if (policy === undefined) return refuse(socket, 'the datapath has not handed it over');
    const onGone = (): void => {
      connections.delete(connection);
      if (connections.size === 0) onEmpty?.();
    };
    const { flow, open, reject } = socket;
    const connection = new ProxiedConnection(options, { flow, open, reject, policy, onGone });
    connections.add(connection);
    cancelSweep ??= clock.schedule(sweepIntervalMs, sweep);
  };

  return {
    async start() {
      listener = await sockets.listen({
        accept,
        onError: (error) => log.error({ error }, 'Cannot accept a connection'),
      });
      return listener.port;
    },
    async stop({ deadlineMs }) {
      listener?.close();
      for (const connection of connections) connection.drain();
      if (connections.size === 0) return;
      await new Promise<void>((resolve) => {
        onEmpty = resolve;
        clock.schedule(deadlineMs, resolve);
      });
      cancelSweep?.();
      if (connections.size === 0) return;
      log.warn({ count: connections.size }, 'Dropped connections that did not end in time');
      for (const connection of connections) connection.abort();
    },
    get connectionCount() {
      return connections.size;
    },
  };
}
