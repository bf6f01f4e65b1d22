// SPDX-License-Identifier: Apache-2.0
import type { weir } from '@weir/proto';
import { createStreamQueue } from '@weir/rpc';

type MonitorEvent = weir.agent.v1.IMonitorEvent;

/** Events on their way to one watcher. A slow one loses the oldest and is told how many; nobody else does. */
export interface WatchQueue extends AsyncIterable<MonitorEvent> {
  push(event: MonitorEvent): void;
  end(): void;
}

const queuedEventsMax = 4_096;

/** Says that events could not be reported. */
export const lostEvent = (what: {
  readonly lost: number;
  readonly source: string;
  readonly node: string;
}): MonitorEvent => ({
  ...{ timeNs: Date.now() * 1e6, type: 'lost', verdict: '', lost: what.lost, lostSource: what.source, node: what.node },
});

/** See {@link WatchQueue}. */
export function createWatchQueue({
  node,
  signal,
}: {
  readonly node: string;
  readonly signal: AbortSignal;
}): WatchQueue {
  const queue = createStreamQueue<MonitorEvent>({ itemsMax: queuedEventsMax, overflow: 'drop-oldest', signal });
  let reportedLost = 0;
  return {
    push(event) {
      const unreported = queue.droppedCount - reportedLost;
      if (unreported > 0 && queue.length < queuedEventsMax / 2) {
        reportedLost += unreported;
        queue.push(lostEvent({ lost: unreported, source: 'agent-queue', node }));
      }
      queue.push(event);
    },
    end: () => queue.end(),
    [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
  };
}
