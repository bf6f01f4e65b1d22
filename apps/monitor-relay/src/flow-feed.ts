// SPDX-License-Identifier: Apache-2.0
import type { Flow } from '@weir/flow';
import { type flow, observer } from '@weir/proto';
import { relayFlows, type RelayFlowsOptions } from './relay-flows.ts';

/** Takes flows of all nodes, for metrics or to export them. Never waits. */
export interface FlowSink {
  flow(each: Flow): void;
  lost(event: flow.LostEvent.$Properties): void;
}

export interface FlowFeedOptions extends RelayFlowsOptions {
  readonly sinks: readonly FlowSink[];
  /** What the sinks want; everything, if this is empty. */
  readonly whitelist: readonly flow.FlowFilter.$Properties[];
  readonly signal: AbortSignal;
}

/** Reads the flows of all nodes from now on, as a reader like any other, until the signal aborts. */
export async function feedFlows({ sinks, whitelist, signal, ...options }: FlowFeedOptions): Promise<void> {
  const request = new observer.GetFlowsRequest({ follow: true, whitelist: [...whitelist] });
  for await (const bytes of relayFlows({ ...options, request, signal })) {
    const { flow: each, lostEvents } = observer.GetFlowsResponse.decode(bytes);
    if (each) sinks.forEach((sink) => sink.flow(each));
    else if (lostEvents) sinks.forEach((sink) => sink.lost(lostEvents));
  }
}
