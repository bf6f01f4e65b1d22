// SPDX-License-Identifier: Apache-2.0
import { event as layout } from '@weir/datapath-layout';
import type { EventSource } from '@weir/datapath-loader';
import type { EventBatch, EventLoss } from '@weir/datapath-maps';
import type { Flow } from '@weir/flow';
import { createEventRing, type EventRing, recordKind } from '@weir/observer';
import { flow, type weir } from '@weir/proto';
import { type CallRecord, callTimeNs, flowOfCall } from './call-flow.ts';
import { type FlowContext, KernelFlow } from './kernel-flow.ts';

/** Where all events of a node come together: they are kept in the ring, and passed on to whoever reads along. */
export interface EventHub {
  readonly ring: EventRing;
  flowAt(number: number): Flow;
  calls(log: weir.proxy.v1.IAccessLog): void;
  agentEvent(event: flow.AgentEvent.$Properties, atMs: number): void;
  /** The kernel's events as they come, and what was lost of them. */
  readEvents(onBatch: (batch: EventBatch) => void): () => void;
  eventLoss(): EventLoss;
  close(): void;
}

export interface EventHubOptions {
  readonly source: Pick<EventSource, 'readEvents' | 'eventLoss'>;
  readonly context: FlowContext;
  readonly flowsMax: number;
}

const { LostEventSource } = flow;
// The kernel counts what it could not send; that is looked at while events come, and once more behind them.
const lossIntervalMs = 250;

/** Nanoseconds to add to CLOCK_MONOTONIC to get time since 1970. */
const wallOffsetNs = (): number => Date.now() * 1e6 - Number(process.hrtime.bigint());

const sumOf = (losses: readonly EventLoss[]): EventLoss => ({
  rateLimited: losses.reduce((sum, { rateLimited }) => sum + rateLimited, 0),
  ringFull: losses.reduce((sum, { ringFull }) => sum + ringFull, 0),
});
const lostOf = (loss: EventLoss | undefined): number => (loss?.rateLimited ?? 0) + (loss?.ringFull ?? 0);

/** Starts to read events. */
export function createEventHub({ source, context, flowsMax }: EventHubOptions): EventHub {
  const ring = createEventRing({ capacity: flowsMax, rawBytes: layout.size });
  const readers = new Set<(batch: EventBatch) => void>();
  let losses = source.eventLoss();
  let timer: NodeJS.Timeout | undefined;

  const lost = (count: number, from: flow.LostEventSource, cpu?: number): void => {
    if (count === 0) return;
    const value = { source: from, numEventsLost: count, ...(cpu === undefined ? {} : { cpu: { value: cpu } }) };
    ring.push(recordKind.lost, { value, timeNs: Date.now() * 1e6 });
  };
  const takeLosses = (): void => {
    timer = undefined;
    const now = source.eventLoss();
    now.forEach((loss, cpu) => lost(lostOf(loss) - lostOf(losses[cpu]), LostEventSource.PERF_EVENT_RING_BUFFER, cpu));
    losses = now;
  };

  const stopReading = source.readEvents((batch) => {
    const offsetNs = wallOffsetNs();
    for (let index = 0; index < batch.count; index++) {
      const offset = batch.offsets[index] ?? 0;
      const timeNs = layout.readTimeNsNumber(batch.view, offset) + offsetNs;
      ring.pushRaw({ view: batch.view, offset, timeNs });
    }
    lost(batch.lost, LostEventSource.OBSERVER_EVENTS_QUEUE);
    timer ??= setTimeout(takeLosses, lossIntervalMs);
    for (const read of readers) read(batch);
  });

  return {
    ring,
    flowAt(number) {
      if (ring.kindOf(number) === recordKind.value) {
        return flowOfCall(ring.valueOf(number) as CallRecord, { ...context, number });
      }
      const record = { view: ring.view, offset: ring.offsetOf(number), timeNs: ring.timeNsOf(number), number };
      return new KernelFlow(context, record);
    },
    calls({ calls, lost: count }) {
      for (const call of calls ?? []) {
        for (const part of ['request', 'response'] as const) {
          const value: CallRecord = { call, part };
          ring.push(recordKind.value, { value, timeNs: callTimeNs(value) });
        }
      }
      lost(count ?? 0, LostEventSource.OBSERVER_EVENTS_QUEUE);
    },
    agentEvent: (value, atMs) => ring.push(recordKind.agentEvent, { value, timeNs: atMs * 1e6 }),
    readEvents(onBatch) {
      readers.add(onBatch);
      return () => void readers.delete(onBatch);
    },
    eventLoss: () => sumOf(source.eventLoss()),
    close() {
      stopReading();
      clearTimeout(timer);
    },
  };
}
