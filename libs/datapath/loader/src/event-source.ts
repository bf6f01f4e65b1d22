// SPDX-License-Identifier: Apache-2.0
import { openPinnedMap } from '@weir/bpf-loader-node';
import { mapSpecs } from '@weir/datapath-layout';
import type { EventBatch, EventLoss } from '@weir/datapath-maps';
import { readEventLossByCpu } from './counters.ts';
import { readEvents } from './event-reader.ts';
import { createPins } from './pins.ts';

/** The events of a node's datapath, for the one thread that reads them. */
export interface EventSource {
  /** Calls back with every batch from now on; returns a function that stops it. */
  readEvents(onBatch: (batch: EventBatch) => void): () => void;
  /** Events that could not be sent since the programs were loaded, CPU by CPU. */
  eventLoss(): readonly EventLoss[];
  close(): void;
}

/** Opens the pinned maps. Throws NOT_FOUND while there are none. A ring can have one reader in the whole system. */
export function openEventSource(bpfRoot: string): EventSource {
  const pins = createPins(bpfRoot);
  const events = openPinnedMap(pins.map(mapSpecs.events.name));
  const budget = openPinnedMap(pins.map(mapSpecs.eventBudget.name));
  return {
    readEvents: (onBatch) => readEvents(events, onBatch),
    eventLoss: () => readEventLossByCpu(budget),
    close() {
      events.close();
      budget.close();
    },
  };
}
