// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { ClusterClient } from '@weir/identity-client';
import type { Logger } from '@weir/telemetry';

/** A pod as others are to know it. */
export interface SpreadPod {
  readonly identity: number;
  readonly addresses: readonly string[];
}

/** Waits until other nodes are told of this one's pods. */
export interface Spread {
  /** To be called after every change of what the allocator tells. */
  changed(): void;
  /**
   * Resolves when the allocator tells everybody that a pod has this identity, or after a second: it tells all nodes at the
   * same time, so that what it tells this one of its own pod the others know as well. Does not wait where nobody else is,
   * or where nobody tells.
   */
  wait(pod: SpreadPod): Promise<void>;
}

export interface SpreadOptions {
  readonly client: Pick<ClusterClient, 'nodes' | 'endpoints'> & {
    status(): Pick<ReturnType<ClusterClient['status']>, 'connection' | 'refusal'>;
  };
  readonly clock: Clock;
  readonly logger: Logger;
}

// A pod shall not wait for a store that is slow; its first packets may then be judged without its identity.
const patienceMs = 1_000;

/** Makes it for the view that a client has. */
export function createSpread({ client, clock, logger }: SpreadOptions): Spread {
  const waiting = new Set<() => void>();
  const isKnown = ({ identity, addresses }: SpreadPod): boolean =>
    addresses.every((address) => client.endpoints.get(address)?.identity === identity);
  const isTold = (): boolean => {
    const { connection, refusal } = client.status();
    return client.nodes.size > 1 && connection.kind === 'connected' && refusal === undefined;
  };
  return {
    changed: () => waiting.forEach((look) => look()),
    wait(pod) {
      if (isKnown(pod) || !isTold()) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          cancel();
          waiting.delete(look);
          resolve();
        };
        const look = (): void => {
          if (isKnown(pod) || !isTold()) done();
        };
        const cancel = clock.schedule(patienceMs, () => {
          logger.warn({ identity: pod.identity, address: pod.addresses[0] }, 'Other nodes may not know this pod yet');
          done();
        });
        waiting.add(look);
      });
    },
  };
}
