// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Logger } from '@weir/telemetry';
import type { Collection, IdentityStore } from '../store/identity-store.ts';

/** Collects garbage from time to time. */
export interface GarbageCollector {
  start(): void;
  stop(): void;
}

export interface GarbageCollectorOptions {
  readonly store: Pick<IdentityStore, 'collectGarbage'>;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly log: Logger;
}

// A log line names so many numbers at most.
const namedMax = 20;

/** Makes the collector. One collection follows the other, never two at a time; a failed one is tried again. */
export function createGarbageCollector({ store, clock, intervalMs, log }: GarbageCollectorOptions): GarbageCollector {
  let cancel = (): void => undefined;
  const report = ({ expiredNodes, deleted }: Collection): void => {
    for (const node of expiredNodes) log.warn({ node }, 'Lease ran out, its references are given up');
    if (deleted.length > 0) {
      log.info({ count: deleted.length, identities: deleted.slice(0, namedMax) }, 'Unused identities retired');
    }
  };
  let state: 'stopped' | 'running' = 'stopped';
  const schedule = (): void => {
    if (state === 'stopped') return;
    cancel = clock.schedule(intervalMs, () => {
      store
        .collectGarbage()
        .then(report)
        .catch((error: unknown) => log.error({ error }, 'Garbage collection failed'))
        .finally(schedule);
    });
  };
  return {
    start() {
      if (state === 'running') return;
      state = 'running';
      schedule();
    },
    stop() {
      state = 'stopped';
      cancel();
    },
  };
}
