// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { PendingSocket } from '../sockets/socket-factory.ts';

/** Told what happens on a stream. */
export interface StreamHandler {
  /** `bytes[0, length)` have arrived; they are overwritten as soon as the call returns. */
  onBytes(bytes: Buffer, length: number): void;
  /** The peer will send nothing more. */
  onEnd(): void;
  /** Everything that was sent is with the kernel, after `send` had returned false. */
  onDrained(): void;
  /** The stream is gone in both directions; with the error that ended it, if one did. */
  onClose(error: Error | undefined): void;
}

/** Why nothing is read from a stream for now, as bits: it is read when no reason is left. */
export const Hold = {
  /** What came last cannot be looked at before the running exchange is over. */
  PIPELINED: 1,
  /** The other side does not take as fast as this one gives. */
  FULL: 2,
  /** The other side is not there yet. */
  CONNECTING: 4,
} as const;

const readBytesMax = 64 * 1024;

/**
 * What one `read` can take. The buffer is shared by all sockets: a read is handed on, or copied, before the event loop
 * comes to the next one. So an idle connection holds no buffer at all.
 */
const readBuffer = Buffer.allocUnsafeSlow(readBytesMax);

// Where large pieces lie while they are sent: nearly always the kernel takes them at once, and the next piece finds the
// same place free. Small ones come from Node.js' own pool.
let sendBuffer = Buffer.allocUnsafeSlow(readBytesMax);
const pooledBytesMax = 4096;

/** One side of a proxied connection. */
export class ByteStream {
  readonly #socket: Socket;
  readonly #handler: StreamHandler;
  #holds = 0;
  #receiving = false;
  #error: Error | undefined;
  #lingerMs = 0;
  /** True when the peer will send nothing more. */
  ended = false;
  /** True when the stream is gone in both directions. */
  gone = false;

  constructor(pending: PendingSocket, handler: StreamHandler) {
    this.#handler = handler;
    this.#socket = pending.open({ buffer: readBuffer, callback: (length) => this.#receive(length) });
    this.#socket.on('end', () => {
      this.ended = true;
      handler.onEnd();
    });
    this.#socket.on('drain', () => handler.onDrained());
    this.#socket.on('error', (error) => (this.#error = error));
    this.#socket.on('close', () => {
      this.gone = true;
      handler.onClose(this.#error);
    });
  }

  /** Sends a copy of `bytes[start, end)`. False: hold back until `onDrained`. */
  send(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    const waits = this.#socket.writableLength > 0;
    if (waits || length <= pooledBytesMax || length > readBytesMax) {
      const copy = Buffer.allocUnsafe(length);
      bytes.copy(copy, 0, start, end);
      return this.sendOwned(copy);
    }
    bytes.copy(sendBuffer, 0, start, end);
    const ready = this.sendOwned(sendBuffer.subarray(0, length));
    if (this.#socket.writableLength > 0) sendBuffer = Buffer.allocUnsafeSlow(readBytesMax);
    return ready;
  }

  /** Sends `bytes`, which nobody may change any more. False: hold back until `onDrained`. */
  sendOwned(bytes: Buffer): boolean {
    // A stream that cannot be written any more reports its end by itself.
    return !this.#socket.writable || this.#socket.write(bytes);
  }

  /** True after `send` has returned false, until `onDrained`. */
  get full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  hold(reason: number): void {
    if (this.#holds === 0 && !this.#receiving) this.#socket.pause();
    this.#holds |= reason;
  }

  release(reason: number): void {
    if (this.#holds === 0) return;
    this.#holds &= ~reason;
    if (this.#holds === 0 && !this.#receiving) this.#socket.resume();
  }

  /** Sends what is left and then the end of the stream; reading goes on. */
  end(): void {
    this.#socket.end();
  }

  /**
   * Sends what is left and then the end, and destroys the stream when the peer has ended too, at the latest `lingerMs`
   * later. A peer that still sends would otherwise be reset, and lose an answer that it has not read yet (RFC 9112 9.6).
   */
  endAndLinger(lingerMs: number): void {
    if (this.#lingerMs !== 0) return;
    this.#lingerMs = lingerMs;
    this.release(~0);
    this.#socket.end(() => {
      if (this.ended) this.#socket.destroy();
      else setTimeout(() => this.#socket.destroy(), lingerMs).unref();
    });
  }

  /** Drops the stream, and what is not sent yet. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Drops the stream in a way that tells the peer that something is missing. */
  reset(): void {
    // A socket whose end is on its way cannot be reset (uv_tcp_close_reset), and Node.js would leak it.
    if (this.#socket.writableEnded) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  #receive(length: number): boolean {
    this.#receiving = true;
    this.#handler.onBytes(readBuffer, length);
    this.#receiving = false;
    return this.#holds === 0;
  }
}
