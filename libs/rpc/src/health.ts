// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { grpc, HealthDefinition } from '@weir/proto';
import { rpcService, type RpcService } from './handlers.ts';
import { createStreamQueue, type StreamQueue } from './stream-queue.ts';

const Wire = grpc.health.v1.HealthCheckResponse.ServingStatus;

/** What a probe is told. */
export type ServingStatus = 'SERVING' | 'NOT_SERVING';

/** The health of a server and its services, as the standard health service reports it. */
export interface HealthState {
  /** Sets the status of a service by its full name, or of the whole server with the empty name. */
  set(service: string, status: ServingStatus): void;
  get(service: string): ServingStatus | undefined;
  /** Sets every status at once. */
  setAll(status: ServingStatus): void;
}

// A prober that does not read holds no more than this; only the newest status means anything.
const watchItemsMax = 4;

/** The state, with the gRPC service that serves it. Everything is NOT_SERVING until the application says otherwise. */
export function createHealth(services: readonly string[]): {
  readonly state: HealthState;
  readonly service: RpcService;
} {
  const statuses = new Map<string, ServingStatus>(['', ...services].map((name) => [name, 'NOT_SERVING']));
  const watchers = new Set<{
    readonly service: string;
    readonly queue: StreamQueue<grpc.health.v1.HealthCheckResponse.$Properties>;
  }>();

  const set = (service: string, status: ServingStatus): void => {
    if (statuses.get(service) === status) return;
    statuses.set(service, status);
    for (const watcher of watchers) if (watcher.service === service) watcher.queue.push({ status: Wire[status] });
  };
  const state: HealthState = {
    set,
    get: (service) => statuses.get(service),
    setAll: (status) => [...statuses.keys()].forEach((service) => set(service, status)),
  };

  const service = rpcService(HealthDefinition, {
    check({ service: name }) {
      const status = statuses.get(name);
      if (status === undefined) throw new WeirError('NOT_FOUND', `No service "${name}" on this server`);
      return { status: Wire[status] };
    },
    async *watch({ service: name }, call) {
      const queue = createStreamQueue<grpc.health.v1.HealthCheckResponse.$Properties>({
        itemsMax: watchItemsMax,
        overflow: 'drop-oldest',
        signal: call.signal,
      });
      const watcher = { service: name, queue };
      watchers.add(watcher);
      const status = statuses.get(name);
      queue.push({ status: status === undefined ? Wire.SERVICE_UNKNOWN : Wire[status] });
      try {
        yield* queue;
      } finally {
        watchers.delete(watcher);
      }
    },
  });
  return { state, service };
}
