// SPDX-License-Identifier: Apache-2.0
import type { Flow } from '@weir/flow';
import { flow } from '@weir/proto';
import { type EventRing, recordKind } from './event-ring.ts';
import type { FlowMetrics } from './flow-metrics.ts';
import { isFlowKind } from './flow-query.ts';

export interface CountFlowsOptions {
  readonly ring: EventRing;
  readonly flowAt: (number: number) => Flow;
  readonly metrics: FlowMetrics;
  readonly signal: AbortSignal;
}

// Then others get their turn.
const turnFlows = 256;

/** Counts what comes into a ring from now on, until the signal aborts; also what was overwritten before it was counted. */
export async function countFlows({ ring, flowAt, metrics, signal }: CountFlowsOptions): Promise<void> {
  let at = ring.next;
  while (!signal.aborted) {
    await ring.waitFor(at, signal);
    if (at < ring.oldest) {
      metrics.lost({ source: flow.LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: ring.oldest - at });
      at = ring.oldest;
    }
    for (const end = Math.min(ring.next, at + turnFlows); at < end; at++) {
      const kind = ring.kindOf(at);
      if (isFlowKind(kind)) metrics.observe(flowAt(at));
      else if (kind === recordKind.lost) metrics.lost(ring.valueOf(at) as flow.LostEvent.$Properties);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
