// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { IdentityAllocatorDefinition, weir } from '@weir/proto';
import type { RpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { Cursor } from './identity-cache.ts';

/** How it stands with the allocator. */
export type AllocatorConnection =
  /** The first attempt is under way. */
  | { readonly kind: 'connecting' }
  /** The stream runs. */
  | { readonly kind: 'connected' }
  /** The stream broke, or never came to be; attempts go on. `sinceMs` is wall-clock time. */
  | { readonly kind: 'disconnected'; readonly reason: string; readonly sinceMs: number };

/** Keeps one watch stream alive for ever. */
export interface WatchLoop {
  readonly connection: AllocatorConnection;
  start(): void;
  stop(): Promise<void>;
}

export interface WatchLoopOptions {
  readonly rpc: Pick<RpcClient<typeof IdentityAllocatorDefinition>, 'watch'>;
  readonly node: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Where the next stream continues. */
  readonly cursor: () => Cursor;
  readonly onResponse: (response: weir.identity.v1.WatchResponse) => void;
  /** The first message of a stream is there. */
  readonly onConnected: () => void;
  readonly onDisconnected: () => void;
}

const backoffMs = { initialMs: 50, maxMs: 2_000 } as const;

/** Makes the loop; `start` begins with the first attempt. */
export function createWatchLoop(options: WatchLoopOptions): WatchLoop {
  const { clock, log } = options;
  const abort = new AbortController();
  const backoff = createBackoff({ ...backoffMs, random: options.random });
  let connection: AllocatorConnection = { kind: 'connecting' };
  let running: Promise<void> = Promise.resolve();

  const receive = (response: weir.identity.v1.WatchResponse): void => {
    options.onResponse(response);
    if (connection.kind === 'connected') return;
    connection = { kind: 'connected' };
    backoff.reset();
    log.info({ revision: response.revision, epoch: response.epoch }, 'Connected to the identity-allocator');
    options.onConnected();
  };
  const fail = (error: WeirError): void => {
    const { message: reason } = error;
    // One line when it goes, not one per attempt.
    if (connection.kind !== 'disconnected') {
      connection = { kind: 'disconnected', reason, sinceMs: clock.nowMs() };
      log.warn({ reason }, 'The identity-allocator is away, known identities go on working');
    } else {
      connection = { ...connection, reason };
    }
    options.onDisconnected();
  };
  const attempt = async (): Promise<void> => {
    const { epoch, revision: afterRevision } = options.cursor();
    // The first failure is wanted at once, for its reason; from then on the channel may wait for the server by itself.
    const waitForReady = connection.kind === 'disconnected';
    try {
      const stream = options.rpc.watch(
        { node: options.node, epoch, afterRevision },
        { signal: abort.signal, waitForReady },
      );
      for await (const response of stream) receive(response);
      fail(new WeirError('UNAVAILABLE', 'The allocator ended the stream'));
    } catch (error) {
      if (!abort.signal.aborted) fail(WeirError.from(error));
    }
  };
  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.schedule(delayMs, resolve);
      abort.signal.addEventListener('abort', () => {
        cancel();
        resolve();
      });
    });
  const run = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      await attempt();
      if (!abort.signal.aborted) await pause(backoff.nextMs());
    }
  };

  return {
    get connection() {
      return connection;
    },
    start() {
      running = run();
    },
    stop() {
      abort.abort(new WeirError('CANCELLED', 'The identity client is stopping'));
      return running;
    },
  };
}
