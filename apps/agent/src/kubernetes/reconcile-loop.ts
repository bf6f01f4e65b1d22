// SPDX-License-Identifier: Apache-2.0
import { type CancelTimer, type Clock, createBackoff } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';

/** Brings objects into force, a batch after the other, and tries again what fails. */
export interface ReconcileLoop {
  /** Says that something about these objects is different. */
  touch(keys: Iterable<string>): void;
  /** Resolves when a batch with all that has been touched until now is done; rejects with the reason of the signal. */
  passed(signal?: AbortSignal): Promise<void>;
  /** Why an object is not in force as it is written: by its key. */
  readonly refused: ReadonlyMap<string, string>;
  /** Why nothing at all comes into force at the moment. */
  readonly failure: WeirError | undefined;
  close(): void;
}

export interface ReconcileLoopOptions {
  /** Of the objects, for messages. */
  readonly name: string;
  /**
   * Resolves with the objects that cannot be in force as they are written, and why. When it rejects, all of the batch is tried
   * again later.
   */
  readonly reconcile: (keys: ReadonlySet<string>) => Promise<ReadonlyMap<string, string>>;
  readonly clock: Clock;
  readonly logger: Logger;
}

// What comes in one answer of the server is one batch.
const settleMs = 5;
const retryMs = { initialMs: 500, maxMs: 30_000 } as const;

/** Takes note of what a batch has come to, and says what is new. */
function noteRefusals(
  refused: Map<string, string>,
  batch: Pick<ReconcileLoopOptions, 'name' | 'logger'> & {
    readonly keys: ReadonlySet<string>;
    readonly found: ReadonlyMap<string, string>;
  },
): void {
  const { keys, found, name, logger } = batch;
  for (const key of keys) if (!found.has(key)) refused.delete(key);
  for (const [key, reason] of found) {
    if (reason !== refused.get(key)) {
      logger.warn({ service: name, path: key, reason }, 'Object of Kubernetes is not in force as it is written');
    }
    refused.set(key, reason);
  }
}

/** Resolves when the task calls back; rejects with the reason of the signal if that comes first. */
function called(start: (done: () => void) => void, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const onAbort = (): void => reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    start(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}

/** See {@link ReconcileLoop}. */
export function createReconcileLoop({ name, reconcile, clock, logger }: ReconcileLoopOptions): ReconcileLoop {
  const backoff = createBackoff(retryMs);
  const refused = new Map<string, string>();
  let dirty = new Set<string>();
  let waiters: (() => void)[] = [];
  let failure: WeirError | undefined;
  let timer: CancelTimer | undefined;
  let isRunning = false;
  let isClosed = false;

  const run = async (): Promise<void> => {
    const [keys, waiting] = [dirty, waiters];
    dirty = new Set();
    waiters = [];
    isRunning = true;
    let delayMs = settleMs;
    try {
      noteRefusals(refused, { keys, found: await reconcile(keys), name, logger });
      failure = undefined;
      backoff.reset();
      for (const wake of waiting) wake();
    } catch (thrown) {
      failure = WeirError.from(thrown);
      delayMs = backoff.nextMs();
      logger.error(
        { service: name, count: keys.size, error: failure, delayMs },
        'Objects of Kubernetes are not in force',
      );
      dirty = new Set([...keys, ...dirty]);
      waiters = [...waiting, ...waiters];
    }
    isRunning = false;
    if (dirty.size + waiters.length > 0) schedule(delayMs);
  };

  const schedule = (delayMs: number): void => {
    if (isClosed || isRunning || timer !== undefined) return;
    timer = clock.schedule(delayMs, () => {
      timer = undefined;
      void run();
    });
  };

  return {
    touch(keys) {
      for (const key of keys) dirty.add(key);
      if (dirty.size > 0) schedule(settleMs);
    },
    passed: (signal) =>
      called((done) => {
        waiters.push(done);
        schedule(settleMs);
      }, signal),
    refused,
    get failure() {
      return failure;
    },
    close() {
      isClosed = true;
      timer?.();
    },
  };
}
