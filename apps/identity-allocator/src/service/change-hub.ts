// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { Changes, IdentityStore } from '../store/identity-store.ts';

/** What the streams of all watchers share. */
export interface ChangeHub {
  /** What came after a revision. Watchers that are equally far get the same object. */
  changesAfter(revision: number): Changes;
  /** Resolves when there may be something after `revision`, or when `signal` aborts. */
  changed(revision: number, signal: AbortSignal): Promise<void>;
  readonly watcherCount: number;
  /** Counts a watcher in; the result counts it out. Undefined when there are too many. */
  enter(): (() => void) | undefined;
  close(): void;
}

export interface ChangeHubOptions {
  readonly store: Pick<IdentityStore, 'revision' | 'changesAfter' | 'onChange'>;
  readonly clock: Clock;
  readonly watchersMax: number;
}

// The size of one message of a stream: small enough that a few of them waiting for a slow reader are nothing.
const messageBytesMax = 32 * 1024;
// How many different positions of watchers are remembered between two changes.
const sharedChangesMax = 64;
// Every change costs a message to every watcher. From many watchers on, changes wait a little for company: a thousand
// watchers are told ten times a second, ten of them at once.
const pausePerWatcherMs = 0.1;
const pauseMsMax = 100;

/** Makes the hub. It keeps no queue: a watcher is a revision, and takes what is true when it has time. */
export function createChangeHub({ store, clock, watchersMax }: ChangeHubOptions): ChangeHub {
  const waiting = new Set<() => void>();
  const shared = new Map<number, Changes>();
  let watcherCount = 0;
  let wokeAtMs = -Infinity;
  let state: 'idle' | 'waking' = 'idle';

  const wake = (): void => {
    state = 'idle';
    wokeAtMs = clock.monotonicMs();
    const due = [...waiting];
    waiting.clear();
    due.forEach((resolve) => resolve());
  };
  const unsubscribe = store.onChange(() => {
    shared.clear();
    if (state === 'waking') return;
    const pauseMs = Math.min(pauseMsMax, watcherCount * pausePerWatcherMs);
    const waitMs = wokeAtMs + pauseMs - clock.monotonicMs();
    if (waitMs < 1) return wake();
    state = 'waking';
    clock.schedule(waitMs, wake);
  });

  return {
    changesAfter(revision) {
      const known = shared.get(revision);
      if (known !== undefined) return known;
      const changes = store.changesAfter(revision, { bytesMax: messageBytesMax });
      if (shared.size < sharedChangesMax) shared.set(revision, changes);
      return changes;
    },
    changed: (revision, signal) =>
      new Promise((resolve) => {
        if (store.revision > revision || signal.aborted) return resolve();
        const leave = (): void => {
          waiting.delete(leave);
          signal.removeEventListener('abort', leave);
          resolve();
        };
        waiting.add(leave);
        signal.addEventListener('abort', leave, { once: true });
      }),
    get watcherCount() {
      return watcherCount;
    },
    enter() {
      if (watcherCount >= watchersMax) return undefined;
      watcherCount += 1;
      return () => void (watcherCount -= 1);
    },
    close() {
      unsubscribe();
      wake();
    },
  };
}
