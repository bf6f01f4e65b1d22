// SPDX-License-Identifier: Apache-2.0
import { Byte, fieldValueBytes, hexValues, tokenBytes } from './bytes.ts';
import { Problem } from './problem.ts';

const At = {
  SIZE: 0,
  EXTENSION: 1,
  SIZE_LF: 2,
  DATA: 3,
  DATA_CR: 4,
  DATA_LF: 5,
  TRAILER_LINE: 6,
  TRAILER_NAME: 7,
  TRAILER_VALUE: 8,
  TRAILER_LF: 9,
  END_LF: 10,
  DONE: 11,
} as const;
type At = (typeof At)[keyof typeof At];

// 12 digits count 256 TiB and stay exact in a double.
const sizeDigitsMax = 12;
const extensionBytesMax = 4096;
const trailerBytesMax = 16 * 1024;

// Fields that would change framing or routing for a server that merges trailers into the head (RFC 9110 6.5.1).
const forbiddenTrailers = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'trailer',
  'te',
  'connection',
  'upgrade',
]);
const forbiddenNameBytesMax = Math.max(...[...forbiddenTrailers].map((name) => name.length));

const noNames: ReadonlySet<string> = new Set();

/** Follows a chunked body (RFC 9112 7.1) without changing it, and stops at the first byte that does not belong there. */
export class ChunkedDecoder {
  problem: Problem | undefined = undefined;

  #at: At = At.DONE;
  /** Of the size: its digits. Of an extension and of the trailers: their bytes. */
  #count = 0;
  #remaining = 0;
  #name = '';
  #guarded: ReadonlySet<string> = noNames;
  // No more of a name is kept than it takes to tell.
  #nameBytesMax = forbiddenNameBytesMax;

  get complete(): boolean {
    return this.#at === At.DONE;
  }

  /** Ready for the first byte of a body. `guarded` are names in lower case that its trailers must not have. */
  reset(guarded: ReadonlySet<string> = noNames): void {
    this.#guarded = guarded;
    this.#nameBytesMax = guarded.size === 0 ? forbiddenNameBytesMax : trailerBytesMax;
    this.problem = undefined;
    this.#at = At.SIZE;
    this.#count = 0;
    this.#remaining = 0;
  }

  /**
   * The first byte of `bytes[start, end)` that is not part of the body: `end` in its midst, the byte behind it when
   * `complete`, the offending byte when there is a `problem`.
   */
  consume(bytes: Uint8Array, start: number, end: number): number {
    let position = start;
    while (position < end && this.#at !== At.DONE) {
      if (this.#at === At.DATA) {
        const taken = Math.min(this.#remaining, end - position);
        this.#remaining -= taken;
        position += taken;
        if (this.#remaining === 0) this.#at = At.DATA_CR;
      } else {
        this.problem =
          this.#at < At.TRAILER_LINE
            ? this.#framingByte(bytes[position] as number)
            : this.#trailerByte(bytes[position] as number);
        if (this.problem !== undefined) return position;
        position++;
      }
    }
    return position;
  }

  #framingByte(byte: number): Problem | undefined {
    switch (this.#at) {
      case At.SIZE:
        return this.#sizeByte(byte);
      case At.EXTENSION:
        if (byte === Byte.CR) this.#at = At.SIZE_LF;
        else if (fieldValueBytes[byte] === 0 || ++this.#count > extensionBytesMax) return Problem.CHUNK_EXTENSION;
        return undefined;
      case At.SIZE_LF:
        if (byte !== Byte.LF) return Problem.BARE_CR;
        this.#at = this.#remaining === 0 ? At.TRAILER_LINE : At.DATA;
        this.#count = 0;
        return undefined;
      case At.DATA_CR:
        this.#at = At.DATA_LF;
        return byte === Byte.CR ? undefined : Problem.CHUNK_END;
      default:
        this.#at = At.SIZE;
        return byte === Byte.LF ? undefined : Problem.CHUNK_END;
    }
  }

  #sizeByte(byte: number): Problem | undefined {
    const value = hexValues[byte] as number;
    if (value < 16) {
      if (++this.#count > sizeDigitsMax) return Problem.CHUNK_SIZE;
      this.#remaining = this.#remaining * 16 + value;
      return undefined;
    }
    if (this.#count === 0) return Problem.CHUNK_SIZE;
    this.#count = 0;
    if (byte === Byte.CR) this.#at = At.SIZE_LF;
    else if (byte === Byte.SEMICOLON) this.#at = At.EXTENSION;
    else return byte === Byte.LF ? Problem.BARE_LF : Problem.CHUNK_SIZE;
    return undefined;
  }

  #trailerByte(byte: number): Problem | undefined {
    if (++this.#count > trailerBytesMax) return Problem.TRAILERS_TOO_LARGE;
    switch (this.#at) {
      case At.TRAILER_LINE:
        this.#name = '';
        this.#at = byte === Byte.CR ? At.END_LF : At.TRAILER_NAME;
        return byte === Byte.CR ? undefined : this.#firstTrailerByte(byte);
      case At.TRAILER_NAME:
        return this.#trailerNameByte(byte);
      case At.TRAILER_VALUE:
        if (byte === Byte.CR) this.#at = At.TRAILER_LF;
        else if (fieldValueBytes[byte] === 0) return byte === Byte.LF ? Problem.BARE_LF : Problem.CONTROL_BYTE;
        return undefined;
      case At.TRAILER_LF:
        this.#at = At.TRAILER_LINE;
        return byte === Byte.LF ? undefined : Problem.BARE_CR;
      default:
        this.#at = At.DONE;
        return byte === Byte.LF ? undefined : Problem.BARE_CR;
    }
  }

  #firstTrailerByte(byte: number): Problem | undefined {
    if (byte === Byte.LF) return Problem.BARE_LF;
    if (byte === Byte.SPACE || byte === Byte.HTAB) return Problem.FOLDED_LINE;
    return tokenBytes[byte] === 1 ? this.#trailerNameByte(byte) : Problem.FIELD_NAME;
  }

  #trailerNameByte(byte: number): Problem | undefined {
    if (tokenBytes[byte] === 1) {
      if (this.#name.length <= this.#nameBytesMax) this.#name += String.fromCharCode(byte);
      return undefined;
    }
    if (byte !== Byte.COLON) return Problem.FIELD_NAME;
    this.#at = At.TRAILER_VALUE;
    const name = this.#name.toLowerCase();
    return forbiddenTrailers.has(name) || this.#guarded.has(name) ? Problem.TRAILER_FIELD : undefined;
  }
}
