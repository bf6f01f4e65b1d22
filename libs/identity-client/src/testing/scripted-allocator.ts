// SPDX-License-Identifier: Apache-2.0
// An allocator for tests of the client: real gRPC, numbers counted up from 1,000, and faults on demand. It keeps the
// contract only as far as the client can see; the real one has tests of its own.
import { WeirError } from '@weir/errors';
import { IdentityAllocatorDefinition, type weir } from '@weir/proto';
import {
  createRpcServer,
  createStreamQueue,
  rpcService,
  type RpcCall,
  type RpcServer,
  type StreamQueue,
} from '@weir/rpc';

type WatchRequest = weir.identity.v1.WatchRequest;
type WatchResponse = weir.identity.v1.WatchResponse.$Properties;
type RenewLeaseRequest = weir.identity.v1.RenewLeaseRequest;
type AllocateRequest = weir.identity.v1.AllocateRequest;

export interface ScriptedAllocator {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Sends a message to every watcher. */
  push(response: WatchResponse): void;
  /** What a new watcher gets first. */
  greeting: (request: WatchRequest) => WatchResponse[];
  onAllocate: (request: AllocateRequest, call: RpcCall) => Promise<number>;
  onRenew: (request: RenewLeaseRequest) => { leaseMs: number; lost: number[] };
  /** What an allocation says of the lease. */
  leaseMs: number;
  readonly numbers: Map<string, number>;
  readonly seen: {
    readonly allocated: string[];
    readonly released: number[];
    readonly renewals: number[][];
    readonly watches: { readonly epoch: string; readonly afterRevision: number }[];
  };
}

export const epoch = 'first';

/** Makes an allocator that listens at `address` once started; it can be stopped and started again. */
export function createScriptedAllocator(address: string): ScriptedAllocator {
  const numbers = new Map<string, number>();
  const queues = new Set<StreamQueue<WatchResponse>>();
  let server: RpcServer | undefined;
  const refuse = (): never => {
    throw new WeirError('NOT_SUPPORTED', 'Not part of this test');
  };
  const keyOf = (labels: readonly string[]): string => labels.map((label) => `${label};`).join('');

  const self: ScriptedAllocator = {
    numbers,
    leaseMs: 900_000,
    seen: { allocated: [], released: [], renewals: [], watches: [] },
    greeting: () => [{ epoch, revision: 1, snapshot: true, synced: true }],
    async onAllocate({ labels }) {
      const key = keyOf(labels);
      const id = numbers.get(key) ?? 1000 + numbers.size;
      numbers.set(key, id);
      return id;
    },
    onRenew: () => ({ leaseMs: 900_000, lost: [] }),
    push: (response) => queues.forEach((queue) => queue.push(response)),
    async start() {
      const service = rpcService(IdentityAllocatorDefinition, {
        async allocate(request, call) {
          self.seen.allocated.push(keyOf(request.labels));
          const id = await self.onAllocate(request, call);
          return { identity: { id, labels: request.labels }, leaseMs: self.leaseMs };
        },
        release({ id }) {
          self.seen.released.push(id);
          return {};
        },
        renewLease(request) {
          self.seen.renewals.push(request.held.map(({ id }) => id ?? 0));
          return self.onRenew(request);
        },
        watch(request, call) {
          self.seen.watches.push({ epoch: request.epoch, afterRevision: request.afterRevision });
          const queue = createStreamQueue<WatchResponse>({ itemsMax: 100, overflow: 'fail', signal: call.signal });
          queues.add(queue);
          self.greeting(request).forEach((response) => queue.push(response));
          return queue;
        },
        listIdentities: refuse,
        getIdentity: refuse,
        collectGarbage: refuse,
      });
      server = createRpcServer({ services: [service], listen: [address] });
      await server.start();
    },
    async stop() {
      queues.clear();
      await server?.stop({ deadlineMs: 0 });
      server = undefined;
    },
  };
  return self;
}
