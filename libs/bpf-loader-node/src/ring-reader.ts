// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { bpfAddon, type RingHandle } from './bpf-binding.ts';
import type { BpfMap } from './bpf-map.ts';
import { closedHandle } from './native.ts';

const batchesDefault = 4;
const batchRecordsDefault = 4096;
const batchBytesDefault = 256 * 1024;
const intervalMsDefault = 10;

/** How a ring buffer is read. All sizes have a default that suits some 100,000 records a second. */
export interface RingReaderOptions {
  /** Gets each batch in turn. The batch is used again after it returns: copy what is to be kept. */
  readonly onBatch: (batch: RecordBatch) => void;
  /** Once there is a record, more may gather for so long; 0 to 60000, 10 unless told. An idle ring costs nothing. */
  readonly intervalMs?: number;
  /** Also look so often without being woken, for programs that submit with `BPF_RB_NO_WAKEUP`; 0, never, unless told. */
  readonly pollMs?: number;
  /** Batches that exist; 1 to 64, 4 unless told. */
  readonly batches?: number;
  /** Most records of a batch; 1 to 1048576, 4096 unless told. */
  readonly batchRecords?: number;
  /** Most bytes of a batch; 8 to 67108864, 262144 unless told. A longer record is lost. */
  readonly batchBytes?: number;
  /**
   * When JavaScript has not finished with any batch: "wait" leaves records in the ring, where the program finds no room at
   * some point and counts what it could not send; "drop" takes them out and counts them as lost here.
   */
  readonly whenFull?: 'wait' | 'drop';
  /** Whether an open reader keeps the process running; true unless told. */
  readonly keepAlive?: boolean;
}

/** Records as the program wrote them, one after the other; the reader's own memory, good until `onBatch` returns. */
export class RecordBatch {
  /** Number of records. */
  count = 0;
  /** Records that did not get to JavaScript since the batch before, exactly. A batch may say only this. */
  lost = 0;
  /** Where in `bytes` each record starts, a multiple of 8, and its length; the first `count` elements are valid. */
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly bytes: Uint8Array;

  constructor(buffer: ArrayBuffer, recordsMax: number) {
    const indexBytes = recordsMax * Uint32Array.BYTES_PER_ELEMENT;
    this.offsets = new Uint32Array(buffer, 0, recordsMax);
    this.lengths = new Uint32Array(buffer, indexBytes, recordsMax);
    this.bytes = new Uint8Array(buffer, 2 * indexBytes);
  }

  /** A view of one record; makes an object, so code that sees every record uses `offsets` and `lengths`. */
  record(index: number): Uint8Array {
    const offset = this.offsets[index] ?? 0;
    return this.bytes.subarray(offset, offset + (index < this.count ? (this.lengths[index] ?? 0) : 0));
  }
}

/** Numbers since the reader was opened. */
export interface RingReaderStats {
  /** Records taken off the ring. */
  readonly records: number;
  /** Of these, dropped because no batch was free or the record was longer than a batch. */
  readonly lost: number;
  /** Bytes that wait in the ring now, with 8 bytes of header a record. */
  readonly pendingBytes: number;
}

/**
 * Reads a ring buffer on a thread of its own until `close()`: like a server, it goes on when nobody refers to it. A ring can
 * have one reader in the whole system.
 */
export class RingReader implements Disposable {
  #handle: RingHandle;

  constructor(map: BpfMap, options: RingReaderOptions) {
    const { onBatch, intervalMs = intervalMsDefault, pollMs = 0, whenFull = 'wait', keepAlive = true } = options;
    const { batches = batchesDefault, batchRecords = batchRecordsDefault, batchBytes = batchBytesDefault } = options;
    if (typeof onBatch !== 'function') throw new WeirError('INVALID_ARGUMENT', 'onBatch: expected a function');
    const pool: RecordBatch[] = [];
    const deliver = (index: number, count: number, lost: number): void => {
      const batch = pool[index];
      if (batch === undefined) return;
      batch.count = count;
      batch.lost = lost;
      onBatch(batch);
    };
    const sizes = [batches, batchRecords, batchBytes, intervalMs, pollMs] as const;
    const { handle, buffers } = bpfAddon().ringOpen(map.handle, deliver, ...sizes, whenFull === 'drop', keepAlive);
    // The first call of `deliver` comes from the event loop, so the pool is complete by then.
    for (const buffer of buffers) pool.push(new RecordBatch(buffer, batchRecords));
    this.#handle = handle;
  }

  /** What was read so far. */
  stats(): RingReaderStats {
    return bpfAddon().ringStats(this.#handle);
  }

  /**
   * Stops the thread; `onBatch` is not called any more. Records that are still in the ring stay there for the next reader.
   * Returns how many were taken off the ring but never handed over. Closing twice is harmless.
   */
  close(): number {
    if (this.#handle === closedHandle) return 0;
    const undelivered = bpfAddon().ringClose(this.#handle);
    this.#handle = closedHandle as RingHandle;
    return undelivered;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Starts to read a map of type "ringbuf". */
export function openRingReader(map: BpfMap, options: RingReaderOptions): RingReader {
  return new RingReader(map, options);
}
