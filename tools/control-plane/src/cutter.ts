// SPDX-License-Identifier: Apache-2.0
import { connect, createServer, type Socket } from 'node:net';

/** A wire between clients and a server on loopback that can be cut. */
export interface Cutter {
  readonly port: number;
  /** Ends every connection; new ones pass. */
  cut(): void;
  /** Ends every connection, and refuses new ones until {@link Cutter.mend}. */
  sever(): void;
  mend(): void;
  close(): Promise<void>;
}

/** Listens on a port of its own and passes bytes on, both ways. */
export async function createCutter(serverPort: number): Promise<Cutter> {
  const sockets = new Set<Socket>();
  let isSevered = false;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // Whoever is at the end learns of it by the end.
    socket.on('error', () => undefined);
  };
  const server = createServer((client) => {
    if (isSevered) return void client.destroy();
    const upstream = connect(serverPort, '127.0.0.1');
    keep(client);
    keep(upstream);
    client.pipe(upstream).pipe(client);
    client.once('close', () => upstream.destroy());
    upstream.once('close', () => client.destroy());
  });
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    cut,
    sever() {
      isSevered = true;
      cut();
    },
    mend() {
      isSevered = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
