// SPDX-License-Identifier: Apache-2.0
import { assert } from '@weir/errors';

/** What a place of the ring holds. */
export const recordKind = {
  /** Bytes as the kernel wrote them: a flow. */
  raw: 0,
  /** A flow that comes from a value, such as a call that the proxy has reported. */
  value: 1,
  agentEvent: 2,
  debugEvent: 3,
  lost: 4,
} as const;
export type RecordKind = (typeof recordKind)[keyof typeof recordKind];

/**
 * The last events of a node, oldest first. Records have numbers that rise by one; those from `oldest` to `next` are there.
 * All memory is allocated at the start: a record is copied into its place and decoded when somebody asks for it.
 */
export interface EventRing {
  readonly capacity: number;
  /** The number that the next record will have: how many there have been. */
  readonly next: number;
  readonly oldest: number;
  /** Flows since the start. */
  readonly seenFlows: number;
  /** Bytes that the records take. */
  readonly memoryBytes: number;
  pushRaw(record: { readonly view: DataView; readonly offset: number; readonly timeNs: number }): void;
  push(kind: Exclude<RecordKind, 0>, record: { readonly value: unknown; readonly timeNs: number }): void;
  kindOf(number: number): RecordKind;
  /** Nanoseconds since 1970. */
  timeNsOf(number: number): number;
  /** As it was pushed; what it is depends on the kind. */
  valueOf(number: number): unknown;
  /** Where the raw bytes of a record are. */
  readonly view: DataView;
  offsetOf(number: number): number;
  /** Resolves when there is a record with this number, or at once if there is; or when the signal aborts. */
  waitFor(number: number, signal: AbortSignal): Promise<void>;
}

// Readers are woken together, a little after an event: one wake-up then serves many events.
const wakeDelayMs = 20;

/** Makes a ring for `capacity` records, whose raw form has at most `rawBytes` bytes. */
export function createEventRing(options: { readonly capacity: number; readonly rawBytes: number }): EventRing {
  const { capacity, rawBytes } = options;
  assert(Number.isInteger(capacity) && capacity > 0, `a ring has room for at least one record, not ${capacity}`);
  const raw = new Uint8Array(capacity * rawBytes);
  const view = new DataView(raw.buffer);
  const kinds = new Uint8Array(capacity);
  const times = new Float64Array(capacity);
  const values = new Array<unknown>(capacity).fill(undefined);
  const waiting = new Set<() => void>();
  let next = 0;
  let seenFlows = 0;
  let timer: NodeJS.Timeout | undefined;

  const wake = (): void => {
    timer = undefined;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  const advance = (): void => {
    next += 1;
    if (waiting.size > 0) timer ??= setTimeout(wake, wakeDelayMs);
  };

  return {
    capacity,
    view,
    memoryBytes: raw.byteLength + kinds.byteLength + times.byteLength + capacity * 8,
    get next() {
      return next;
    },
    get oldest() {
      return Math.max(0, next - capacity);
    },
    get seenFlows() {
      return seenFlows;
    },
    pushRaw({ view: from, offset, timeNs }) {
      const at = next % capacity;
      raw.set(new Uint8Array(from.buffer, from.byteOffset + offset, rawBytes), at * rawBytes);
      kinds[at] = recordKind.raw;
      times[at] = timeNs;
      values[at] = undefined;
      seenFlows += 1;
      advance();
    },
    push(kind, { value, timeNs }) {
      const at = next % capacity;
      kinds[at] = kind;
      times[at] = timeNs;
      values[at] = value;
      if (kind === recordKind.value) seenFlows += 1;
      advance();
    },
    kindOf: (number) => (kinds[number % capacity] ?? 0) as RecordKind,
    timeNsOf: (number) => times[number % capacity] ?? 0,
    valueOf: (number) => values[number % capacity],
    offsetOf: (number) => (number % capacity) * rawBytes,
    waitFor(number, signal) {
      if (number < next || signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          waiting.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        waiting.add(done);
        signal.addEventListener('abort', done, { once: true });
      });
    },
  };
}
