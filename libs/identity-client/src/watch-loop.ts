// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { CallOptions } from '@weir/rpc';
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

/** Where a stream is to continue. */
export interface WatchPosition extends Cursor {
  readonly node: string;
}

export interface WatchLoopOptions<Response> {
  readonly open: (from: WatchPosition, options: CallOptions) => AsyncIterable<Response>;
  /** Says that the stream has come to be, and that it is lost: one line when it goes, not one per attempt. */
  readonly say: { readonly connected: (at: Cursor) => void; readonly away: (reason: string) => void };
  readonly node: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Where the next stream continues. */
  readonly cursor: () => Cursor;
  readonly onResponse: (response: Response) => void;
  /** The first message of a stream is there. */
  readonly onConnected: () => void;
  readonly onDisconnected: () => void;
}

const backoffMs = { initialMs: 50, maxMs: 2_000 } as const;

/** Makes the loop; `start` begins with the first attempt. */
export function createWatchLoop<Response extends Cursor>(options: WatchLoopOptions<Response>): WatchLoop {
  const { clock, say } = options;
  const abort = new AbortController();
  const backoff = createBackoff({ ...backoffMs, random: options.random });
  let connection: AllocatorConnection = { kind: 'connecting' };
  let running: Promise<void> = Promise.resolve();

  const receive = (response: Response): void => {
    options.onResponse(response);
    if (connection.kind === 'connected') return;
    connection = { kind: 'connected' };
    backoff.reset();
    say.connected(response);
    options.onConnected();
  };
  const fail = (error: WeirError): void => {
    const { message: reason } = error;
    if (connection.kind !== 'disconnected') {
      connection = { kind: 'disconnected', reason, sinceMs: clock.nowMs() };
      say.away(reason);
    } else {
      connection = { ...connection, reason };
    }
    options.onDisconnected();
  };
  const attempt = async (): Promise<void> => {
    // The first failure is wanted at once, for its reason; from then on the channel may wait for the server by itself.
    const waitForReady = connection.kind === 'disconnected';
    try {
      const from = { node: options.node, ...options.cursor() };
      const stream = options.open(from, { signal: abort.signal, waitForReady });
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
