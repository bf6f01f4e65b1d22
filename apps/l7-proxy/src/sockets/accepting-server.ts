// SPDX-License-Identifier: Apache-2.0
import { createServer, type AddressInfo, type ListenOptions, type Socket } from 'node:net';
import { WeirError } from '@weir/errors';
import type { Flow } from '../flows/flow-table.ts';
import { socketFromAccepted } from './adopt-socket.ts';
import type { AcceptHandler, Listener } from './socket-factory.ts';

/** Finds clients that are gone without a word, as when a pod is removed; well below what the idle timeout would take. */
export const keepAliveInitialDelayMs = 60_000;

const mappedPrefix = '::ffff:';

/** An IPv4 address as such, and a link-local one without its zone: what a packet carries. */
function plainAddress(text: string): string {
  const [address = ''] = text.split('%', 1);
  return address.startsWith(mappedPrefix) && address.includes('.') ? address.slice(mappedPrefix.length) : address;
}

/** Undefined when the client is gone already. */
function flowFromAccepted({ remoteAddress, remotePort, localAddress, localPort }: Socket): Flow | undefined {
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  return {
    source: plainAddress(remoteAddress),
    sourcePort: remotePort ?? 0,
    destination: plainAddress(localAddress),
    destinationPort: localPort ?? 0,
  };
}

/** Accepts on a new listener, or on one whose descriptor is given. UNAVAILABLE when it cannot be made. */
export function acceptOn(options: ListenOptions | { fd: number }, handler: AcceptHandler): Promise<Listener> {
  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveInitialDelayMs,
  });
  server.on('connection', (socket) => {
    const reject = (): void => void socket.resetAndDestroy();
    const flow = flowFromAccepted(socket);
    if (flow === undefined) reject();
    else handler.accept({ flow, open: (receiver) => socketFromAccepted(socket, receiver), reject });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new WeirError('UNAVAILABLE', `Cannot accept connections: ${cause.message}`, { cause }));
    });
    server.listen(options as ListenOptions, () => {
      server.on('error', (error) => handler.onError(error));
      const { port } = server.address() as AddressInfo;
      // The server never reports that it is closed: it waits for sockets that have been taken away from it.
      const close = (): void => void server.close();
      resolve({ port, close });
    });
  });
}
