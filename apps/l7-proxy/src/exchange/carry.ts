// SPDX-License-Identifier: Apache-2.0

const initialCapacity = 1024;

/** Bytes that have arrived and cannot be used yet: the beginning of a head, or what follows a running exchange. */
export class Carry {
  #bytes: Buffer | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The buffer with the carried bytes at its beginning; valid until the next call of `append`. */
  get bytes(): Buffer {
    return this.#bytes ?? Buffer.alloc(0);
  }

  append(bytes: Buffer, start: number, end: number): void {
    const length = this.#length + end - start;
    const room = this.#room(length);
    bytes.copy(room, this.#length, start, end);
    this.#length = length;
  }

  /** Drops the first `count` bytes, and the buffer with the last of them. */
  discard(count: number): void {
    if (count === this.#length) this.#bytes = undefined;
    else this.#bytes?.copyWithin(0, count, this.#length);
    this.#length -= count;
  }

  #room(length: number): Buffer {
    const bytes = this.#bytes;
    if (bytes !== undefined && bytes.length >= length) return bytes;
    // Doubling keeps a head that arrives byte by byte linear.
    const grown = Buffer.allocUnsafeSlow(Math.max(length, initialCapacity, 2 * (bytes?.length ?? 0)));
    bytes?.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
    return grown;
  }
}
