// SPDX-License-Identifier: Apache-2.0
import { bpfAddon } from './bpf-binding.ts';

/**
 * The values of an array map as memory, each starting at a multiple of 8 bytes. A store is seen by programs at once.
 * `Atomics` works on it; 64-bit numbers are torn by nothing but plain reads of their halves, so use `BigUint64Array`.
 */
export class MappedMemory implements Disposable {
  #buffer: ArrayBuffer | undefined;

  constructor(buffer: ArrayBuffer) {
    this.#buffer = buffer;
  }

  /** Of length 0 once closed, as is every view of it. */
  get buffer(): ArrayBuffer {
    return this.#buffer ?? new ArrayBuffer(0);
  }

  /** Gives the memory back now; without it that happens when the last view is collected. */
  close(): void {
    if (this.#buffer !== undefined) bpfAddon().detachBuffer(this.#buffer);
    this.#buffer = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
