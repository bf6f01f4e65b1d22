// SPDX-License-Identifier: Apache-2.0
import { ChunkedDecoder } from './chunked-decoder.ts';
import type { Problem } from './problem.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';

/** How the end of a body is found (RFC 9112 6.3). */
export const Framing = { NONE: 0, LENGTH: 1, CHUNKED: 2, UNTIL_CLOSE: 3 } as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

const noNames: ReadonlySet<string> = new Set();

/** Finds out where bodies end; one of these serves all messages in one direction of a connection. */
export class MessageBody {
  framing: Framing = Framing.NONE;
  readonly #chunked = new ChunkedDecoder();
  #remaining = 0;

  /**
   * Ready for the first byte of a body. `length` counts only for {@link Framing.LENGTH}; `guarded` are names that trailers
   * must not have, besides those that they never may.
   */
  start(framing: Framing, length: number, guarded: ReadonlySet<string> = noNames): void {
    this.framing = framing;
    if (framing === Framing.LENGTH) this.#remaining = length;
    if (framing === Framing.CHUNKED) this.#chunked.reset(guarded);
  }

  /** True when the last byte has been consumed; a body that lasts until the connection closes never is. */
  get complete(): boolean {
    if (this.framing === Framing.LENGTH) return this.#remaining === 0;
    if (this.framing === Framing.CHUNKED) return this.#chunked.complete;
    return this.framing === Framing.NONE;
  }

  get problem(): Problem | undefined {
    return this.framing === Framing.CHUNKED ? this.#chunked.problem : undefined;
  }

  /** The first byte of `bytes[start, end)` that is not part of the body; see `problem` when neither `end` nor complete. */
  consume(bytes: Uint8Array, start: number, end: number): number {
    switch (this.framing) {
      case Framing.NONE:
        return start;
      case Framing.LENGTH: {
        const taken = Math.min(this.#remaining, end - start);
        this.#remaining -= taken;
        return start + taken;
      }
      case Framing.CHUNKED:
        return this.#chunked.consume(bytes, start, end);
      default:
        return end;
    }
  }
}

/** How the body of a request is framed: without either field there is none. */
export function requestFraming(head: RequestHead): Framing {
  if (head.fields.chunked) return Framing.CHUNKED;
  return head.fields.contentLength > 0 ? Framing.LENGTH : Framing.NONE;
}

/** How the body of a final response is framed, which also depends on the request's method. */
export function responseFraming(head: ResponseHead, toHead: boolean): Framing {
  if (toHead || head.status === 204 || head.status === 304) return Framing.NONE;
  if (head.fields.chunked) return Framing.CHUNKED;
  if (head.fields.contentLength === -1) return Framing.UNTIL_CLOSE;
  return head.fields.contentLength > 0 ? Framing.LENGTH : Framing.NONE;
}
