// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type CancelTimer, type Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { PeerNode } from '@weir/observer';
import type { flow, weir } from '@weir/proto';
import type { Logger } from '@weir/telemetry';
import type { Monitor } from '../monitor/monitor.ts';
import { createWatchQueue, type WatchQueue } from '../monitor/watch-queue.ts';
import type { FromObserver, NameChange, ObserverThreadOptions, ToObserver } from './thread-messages.ts';

/** The agent's end of the thread that keeps and serves flows. */
export interface ObserverHost extends Omit<Monitor, 'close'> {
  readonly names: (changes: readonly NameChange[]) => void;
  readonly event: (event: flow.AgentEvent.$Properties) => void;
  /** Metrics that are made out of flows, as Prometheus reads them; nothing while the thread is not there. */
  flowMetrics(): Promise<string>;
  /** The nodes that whoever asks this one is told of. */
  setPeers(nodes: readonly PeerNode[]): void;
  /**
   * Starts the thread; resolves with the addresses on which it serves, rejects with what keeps it from that. From now on it
   * is told of everything.
   */
  start(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

export interface ObserverHostOptions {
  readonly thread: ObserverThreadOptions;
  /** Everything that the thread must know when it starts again. */
  readonly snapshot: () => readonly NameChange[];
  readonly clock: Clock;
  readonly logger: Logger;
}

// A full ring of the largest size, with the names and what many readers have under way.
const memoryMiBMax = 512;
const youngMiBMax = 3;
const restartDelayMs = 1_000;
const stopTimeoutMs = 3_000;
const readTimeoutMs = 2_000;

// In a bundle the thread's program lies beside the agent's.
const isSource = import.meta.url.endsWith('.ts');
const program = fileURLToPath(new URL(isSource ? './observer-thread.ts' : './observer-thread.mjs', import.meta.url));

/** Who watches the node's events through the agent's own API. */
function createWatches(node: string, post: (message: ToObserver) => void) {
  const watches = new Map<number, { readonly request: ToObserver; readonly queue: WatchQueue }>();
  let count = 0;
  return {
    take(watch: number, events: readonly weir.agent.v1.IMonitorEvent[]) {
      events.forEach((event) => watches.get(watch)?.queue.push(event));
    },
    /** Asks a thread that has just started for all of them. */
    renew: () => watches.forEach(({ request }) => post(request)),
    end: () => watches.forEach(({ queue }) => queue.end()),
    watch: async function* ({ types, endpoints }, signal) {
      const watch = ++count;
      const queue = createWatchQueue({ node, signal });
      const request: ToObserver = { kind: 'watch', watch, types: [...types], endpoints: [...endpoints] };
      watches.set(watch, { request, queue });
      post(request);
      try {
        yield* queue;
      } finally {
        watches.delete(watch);
        post({ kind: 'unwatch', watch });
      }
    } satisfies Monitor['watch'],
  };
}

/** Who waits for the metrics of the thread. */
function createReadings(post: (message: ToObserver) => void, clock: Clock) {
  const waiting = new Map<number, (text: string) => void>();
  let count = 0;
  return {
    answer: ({ request, text }: FromObserver & { kind: 'metrics' }) => waiting.get(request)?.(text),
    read(): Promise<string> {
      const request = ++count;
      return new Promise<string>((resolve) => {
        const cancel = clock.schedule(readTimeoutMs, () => finish(''));
        const finish = (text: string): void => {
          cancel();
          waiting.delete(request);
          resolve(text);
        };
        waiting.set(request, finish);
        post({ kind: 'read-metrics', request });
      });
    },
  };
}

/** See {@link ObserverHost}. A thread that dies is started again; the flows that it had are lost, names and policies not. */
export function createObserverHost(options: ObserverHostOptions): ObserverHost {
  const { thread, snapshot, clock, logger } = options;
  let worker: Worker | undefined;
  let peers: readonly PeerNode[] = [];
  let stopping = false;
  let cancelRestart: CancelTimer | undefined;

  const post = (message: ToObserver): void => worker?.postMessage(message);
  const watches = createWatches(thread.node, post);
  const readings = createReadings(post, clock);

  const receive = (message: FromObserver): void => {
    if (message.kind === 'metrics') return readings.answer(message);
    if (message.kind === 'watched') return watches.take(message.watch, message.events);
    if (message.kind === 'serving') {
      for (const address of message.addresses) logger.info({ address }, 'Serving flows');
    }
  };

  const launch = (): Promise<readonly string[]> => {
    const started = Promise.withResolvers<readonly string[]>();
    const launched = new Worker(program, {
      workerData: thread,
      resourceLimits: { maxOldGenerationSizeMb: memoryMiBMax, maxYoungGenerationSizeMb: youngMiBMax },
    });
    worker = launched;
    launched.on('message', (message: FromObserver) => {
      receive(message);
      if (message.kind === 'serving') started.resolve(message.addresses);
      if (message.kind === 'failed') started.reject(new WeirError('FAILED_PRECONDITION', message.message));
    });
    launched.on('error', (error) => {
      logger.error({ error }, 'The thread that serves flows has failed');
      started.reject(WeirError.from(error));
    });
    launched.on('exit', () => {
      if (worker === launched) worker = undefined;
      started.reject(new WeirError('INTERNAL', 'The thread that serves flows ended early'));
      if (!stopping) cancelRestart = clock.schedule(restartDelayMs, restart);
    });
    post({ kind: 'names', changes: snapshot() });
    post({ kind: 'peers', nodes: peers });
    watches.renew();
    return started.promise;
  };
  const restart = (): void => {
    launch().catch((error: unknown) => logger.error({ error }, 'Flows cannot be served'));
  };

  return {
    names: (changes) => post({ kind: 'names', changes }),
    event: (event) => post({ kind: 'agent-event', atMs: Date.now(), event }),
    flowMetrics: async () => (worker === undefined ? '' : readings.read()),
    accessLog: (log: weir.proxy.v1.IAccessLog) => post({ kind: 'calls', log }),
    setPeers(nodes) {
      peers = nodes;
      post({ kind: 'peers', nodes });
    },
    watch: watches.watch,
    start: launch,
    async stop() {
      stopping = true;
      cancelRestart?.();
      watches.end();
      const ending = worker;
      if (ending === undefined) return;
      const ended = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
      post({ kind: 'stop' });
      const timer = setTimeout(() => void ending.terminate(), stopTimeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}
