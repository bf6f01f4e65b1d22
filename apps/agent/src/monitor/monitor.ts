// SPDX-License-Identifier: Apache-2.0
import { event as eventCodec } from '@weir/datapath-layout';
import type { Datapath, EventBatch, EventLoss } from '@weir/datapath-maps';
import type { weir } from '@weir/proto';
import { describeHttpCall, type RuleSetOrigins } from './http-event.ts';
import { describeKernelEvent, type KernelEventOptions } from './kernel-event.ts';
import { createWatchQueue, lostEvent, type WatchQueue } from './watch-queue.ts';

type MonitorEvent = weir.agent.v1.IMonitorEvent;

/** What a watcher wants to see; an empty set is everything. */
export interface MonitorFilter {
  readonly types: ReadonlySet<string>;
  /** Endpoints of which one must be an end of the flow. */
  readonly endpoints: ReadonlySet<number>;
}

/** Live events for whoever watches. Without a watcher, events are only taken off the ring. */
export interface Monitor {
  watch(filter: MonitorFilter, signal: AbortSignal): AsyncIterable<MonitorEvent>;
  /** Takes in what the proxy reports. */
  accessLog(log: weir.proxy.v1.IAccessLog): void;
  close(): void;
}

export interface MonitorOptions extends KernelEventOptions {
  readonly datapath: Pick<Datapath, 'readEvents' | 'eventLoss'>;
  readonly ruleSets: RuleSetOrigins;
}

interface Watcher {
  readonly filter: MonitorFilter;
  readonly queue: WatchQueue;
}

const isWanted = ({ types, endpoints }: MonitorFilter, { type, source, destination }: MonitorEvent): boolean =>
  (types.size === 0 || types.has(type ?? '')) &&
  (endpoints.size === 0 || endpoints.has(source?.endpointId ?? 0) || endpoints.has(destination?.endpointId ?? 0));

/** Nanoseconds to add to CLOCK_MONOTONIC to get time since 1970. */
const wallOffsetNs = (): number => Date.now() * 1e6 - Number(process.hrtime.bigint());

/** Starts to read events. A slow watcher loses the oldest ones and is told how many; nobody else does. */
export function createMonitor(options: MonitorOptions): Monitor {
  const { datapath, ruleSets, peers, node } = options;
  const watchers = new Set<Watcher>();
  let loss: EventLoss = datapath.eventLoss();

  const publish = (event: MonitorEvent): void => {
    for (const watcher of watchers) {
      if (isWanted(watcher.filter, event)) watcher.queue.push(event);
    }
  };

  const broadcastLost = (lost: number, source: string): void => {
    if (lost > 0) for (const { queue } of watchers) queue.push(lostEvent({ lost, source, node }));
  };

  const take = ({ view, offsets, count, lost }: EventBatch): void => {
    if (watchers.size === 0) return;
    const offsetNs = wallOffsetNs();
    for (let index = 0; index < count; index++) {
      publish(describeKernelEvent(eventCodec.decode(view, offsets[index] ?? 0), { ...options, offsetNs }));
    }
    const now = datapath.eventLoss();
    broadcastLost(lost + now.ringFull - loss.ringFull + now.rateLimited - loss.rateLimited, 'kernel-ring');
    loss = now;
  };

  const stopReading = datapath.readEvents(take);
  return {
    async *watch(filter, signal) {
      const queue = createWatchQueue({ node, signal });
      const watcher: Watcher = { filter, queue };
      if (watchers.size === 0) loss = datapath.eventLoss();
      watchers.add(watcher);
      try {
        yield* queue;
      } finally {
        watchers.delete(watcher);
      }
    },
    accessLog({ calls, lost }) {
      if (watchers.size === 0) return;
      for (const call of calls ?? []) publish(describeHttpCall(call, { peers, ruleSets, node }));
      broadcastLost(lost ?? 0, 'proxy');
    },
    close() {
      stopReading();
      for (const { queue } of watchers) queue.end();
    },
  };
}
