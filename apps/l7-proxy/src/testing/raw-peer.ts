// SPDX-License-Identifier: Apache-2.0
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const waitMs = 5_000;

/** One end of a TCP connection, byte by byte. */
export class RawPeer {
  readonly socket: Socket;
  /** Everything that has come and was not taken yet. */
  received = '';
  /** How the other side ended: not yet, in good order, or by a reset. */
  ending: 'open' | 'end' | 'reset' = 'open';
  #changed: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    const change = (update: () => void): void => {
      update();
      this.#changed();
    };
    socket.on('data', (bytes: Buffer) => change(() => (this.received += bytes.toString('latin1'))));
    socket.on('end', () => change(() => (this.ending = 'end')));
    socket.on('error', () => change(() => (this.ending = 'reset')));
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Takes what has come once it contains `text`, up to the end of that. */
  async take(text: string): Promise<string> {
    await this.#until(() => this.received.includes(text), JSON.stringify(text));
    const end = this.received.indexOf(text) + text.length;
    const taken = this.received.slice(0, end);
    this.received = this.received.slice(end);
    return taken;
  }

  /** Takes a head, with its empty line. */
  takeHead(): Promise<string> {
    return this.take('\r\n\r\n');
  }

  /** Takes a response with Content-Length: the status and the body. */
  async takeResponse(): Promise<{ status: number; head: string; body: string }> {
    const head = await this.takeHead();
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    await this.#until(() => this.received.length >= length, `${length} bytes of a body`);
    const body = this.received.slice(0, length);
    this.received = this.received.slice(length);
    return { status: Number(head.split(' ', 2)[1]), head, body };
  }

  /** Waits until the other side has ended and gives the rest of what it sent. */
  async ended(): Promise<string> {
    await this.#until(() => this.ending !== 'open', 'the end of the connection');
    return this.received;
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + waitMs;
    while (!isSo()) {
      if (this.ending !== 'open' || Date.now() > deadline) {
        throw new Error(`Waited for ${what}, received ${JSON.stringify(this.received)} and then: ${this.ending}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now() + 1);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** A server that does exactly what a test tells it. */
export interface RawServer {
  readonly port: number;
  /** The next connection that comes, or one that has come already. */
  accept(): Promise<RawPeer>;
  /** Connections so far. */
  readonly acceptedCount: number;
  close(): void;
}

export async function startRawServer(): Promise<RawServer> {
  const waiting: RawPeer[] = [];
  const peers: RawPeer[] = [];
  let wake = (): void => undefined;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new RawPeer(socket);
    waiting.push(peer);
    peers.push(peer);
    wake();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async accept() {
      const deadline = Date.now() + waitMs;
      for (;;) {
        const peer = waiting.shift();
        if (peer !== undefined) return peer;
        if (Date.now() > deadline) throw new Error('Nobody has connected');
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, 100);
        });
      }
    },
    get acceptedCount() {
      return peers.length;
    },
    close() {
      for (const { socket } of peers) socket.destroy();
      server.close();
    },
  };
}

/** Connects to a port of this machine. A reset that comes at once is an ending like another. */
export function dial(port: number): Promise<RawPeer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const peer = new RawPeer(socket);
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(peer));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET') resolve(peer);
      else reject(error);
    });
  });
}
