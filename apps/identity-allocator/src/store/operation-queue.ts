// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Runs operations in order, many at a time, so that they share one transaction. */
export interface OperationQueue {
  /** Settles once the operation's batch is durable. */
  run<Result>(operation: () => Result, signal?: AbortSignal): Promise<Result>;
  /** Runs what waits, then refuses everything. */
  close(): Promise<void>;
}

export interface OperationQueueOptions {
  /**
   * Runs a batch and makes it durable; one batch at a time. It may run the batch again where the first result could not be
   * kept. Where it throws, nobody may count on any operation of the batch, and all of them fail with that.
   */
  readonly commit: (runAll: () => void) => void | Promise<void>;
  readonly batchOperationsMax: number;
  readonly queuedOperationsMax: number;
}

interface Operation {
  readonly run: () => void;
  readonly settle: () => void;
  readonly fail: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
}

const closed = (): WeirError => new WeirError('UNAVAILABLE', 'The store is closed');

/**
 * Makes a queue. What arrives in one turn of the event loop is one batch: one write to the disk for a hundred pods that
 * start together, and no waiting for one that starts alone. A long queue is worked off a batch a turn, so that other
 * work gets its turns, too.
 */
export function createOperationQueue(options: OperationQueueOptions): OperationQueue {
  const waiting: Operation[] = [];
  let state: 'idle' | 'scheduled' | 'closed' = 'idle';
  let running: Promise<void> = Promise.resolve();

  const runBatch = async (batch: readonly Operation[]): Promise<void> => {
    if (batch.length === 0) return;
    try {
      const committed = options.commit(() => batch.forEach(({ run }) => run()));
      // A synchronous commit settles its callers in the same turn.
      if (committed !== undefined) await committed;
      batch.forEach(({ settle }) => settle());
    } catch (error) {
      batch.forEach(({ fail }) => fail(error));
    }
  };
  const takeBatch = (): Operation[] => {
    const taken = waiting.splice(0, options.batchOperationsMax);
    // Whoever has gone away must not be given anything: nobody would know of it.
    const [gone, present] = [taken.filter(isAborted), taken.filter((operation) => !isAborted(operation))];
    gone.forEach(({ fail, signal }) => fail(WeirError.from(signal?.reason, 'CANCELLED')));
    return present;
  };
  const turn = async (): Promise<void> => {
    if (state === 'closed') return;
    await runBatch(takeBatch());
    if (isClosed()) return;
    state = 'idle';
    schedule();
  };
  // The compiler does not see that `state` changes during an await.
  const isClosed = (): boolean => state === 'closed';
  const schedule = (): void => {
    if (state !== 'idle' || waiting.length === 0) return;
    state = 'scheduled';
    setImmediate(() => void (running = turn()));
  };

  return {
    run: (operation, signal) =>
      new Promise((resolve, reject) => {
        if (state === 'closed') return reject(closed());
        if (waiting.length >= options.queuedOperationsMax) {
          return reject(new WeirError('RESOURCE_EXHAUSTED', `${waiting.length} operations wait for the store already`));
        }
        waiting.push(createOperation({ operation, resolve, reject, signal }));
        schedule();
      }),
    async close() {
      state = 'closed';
      await running;
      while (waiting.length > 0) await runBatch(takeBatch());
    },
  };
}

const isAborted = ({ signal }: Operation): boolean => signal?.aborted === true;

interface Pending<Result> {
  readonly operation: () => Result;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
}

/** A refusal is the operation's own; a bug or a broken disk fails the whole batch. */
function createOperation<Result>({ operation, resolve, reject, signal }: Pending<Result>): Operation {
  let settle = (): void => reject(new WeirError('INTERNAL', 'The operation was not run'));
  return {
    run() {
      // A batch that another replica was faster than runs again, perhaps much later: whoever has gone away meanwhile has asked
      // elsewhere, and may have said something newer there.
      if (signal?.aborted === true) {
        settle = () => reject(WeirError.from(signal.reason, 'CANCELLED'));
        return;
      }
      try {
        const result = operation();
        settle = () => resolve(result);
      } catch (error) {
        if (!(error instanceof WeirError) || error.code === 'INTERNAL') throw error;
        settle = () => reject(error);
      }
    },
    settle: () => settle(),
    fail: reject,
    signal,
  };
}
