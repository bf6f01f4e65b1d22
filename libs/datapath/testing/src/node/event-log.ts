// SPDX-License-Identifier: Apache-2.0
import { openRingReader, type BpfMap } from '@weir/bpf-loader-node';
import {
  directionNames,
  dropReasonNames,
  event as eventCodec,
  eventFlag,
  eventTypeNames,
  tracePointNames,
  type Event,
} from '@weir/datapath-layout';
import { partyName } from './flow-state.ts';

/** An event in words, beside what the kernel wrote. */
export interface LoggedEvent {
  readonly type: string;
  readonly reason: string;
  readonly direction: string;
  readonly point: string;
  readonly from: string;
  readonly to: string;
  readonly flags: readonly string[];
  readonly raw: Event;
}

/** What the programs reported. A ring has one reader, so there is one of these for each node. */
export interface EventLog {
  /** All events that were sent since the last {@link EventLog.clear}, once they have been read from the ring. */
  read(): Promise<readonly LoggedEvent[]>;
  clear(): void;
  close(): void;
}

const describe = (raw: Event): LoggedEvent => ({
  type: eventTypeNames[raw.type] ?? String(raw.type),
  reason: dropReasonNames[raw.reason] ?? String(raw.reason),
  direction: directionNames[raw.direction] ?? String(raw.direction),
  point: tracePointNames[raw.point] ?? String(raw.point),
  from: partyName(raw.source),
  to: partyName(raw.destination),
  flags: Object.entries(eventFlag)
    .filter(([, bit]) => (raw.flags & bit) !== 0)
    .map(([name]) => name),
  raw,
});

/** Reads the ring of a node. */
export function createEventLog(ring: BpfMap): EventLog {
  let events: Event[] = [];
  let delivered = 0;
  let since = process.hrtime.bigint();
  const reader = openRingReader(ring, {
    pollMs: 1,
    intervalMs: 0,
    onBatch(batch) {
      const view = new DataView(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
      for (let index = 0; index < batch.count; index++) {
        const event = eventCodec.decode(view, batch.offsets[index] ?? 0);
        if (event.timeNs >= since) events.push(event);
      }
      delivered += batch.count;
    },
  });
  // Asked twice: a record is taken off the ring a moment before or after it is counted, so that one answer may lack both.
  const isDrained = (): boolean => reader.stats().pendingBytes === 0 && reader.stats().records === delivered;
  return {
    async read() {
      while (!isDrained()) await new Promise((resolve) => setTimeout(resolve, 1));
      return events.map(describe);
    },
    clear() {
      events = [];
      since = process.hrtime.bigint();
    },
    close: () => void reader.close(),
  };
}
