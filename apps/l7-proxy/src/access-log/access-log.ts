// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { CallBatch, type LoggedCall } from './call-batch.ts';

/** Reports calls to the agent without ever holding traffic up: what does not fit is counted and lost. */
export interface AccessLog {
  record(call: LoggedCall): void;
  /** The oldest finished message, encoded; undefined when there is none. */
  take(): Buffer | undefined;
  /** Called whenever `take` has something new. One listener; the next one takes its place. */
  onBatch(listener: () => void): void;
  /** Calls that were lost and that no message has told of yet. */
  readonly lostCount: number;
}

export interface AccessLogOptions {
  readonly clock: Clock;
  /** Calls in one message. */
  readonly batchCallsMax: number;
  /** How long a call may wait for others. */
  readonly batchDelayMs: number;
  /** Finished messages that wait for the agent, of 64 KiB at most. */
  readonly queuedBatchesMax: number;
}

/** Calls wait in memory while the agent is away, up to the limit, and are delivered when it is back. */
export function createAccessLog(options: AccessLogOptions): AccessLog {
  const { clock, batchDelayMs, queuedBatchesMax } = options;
  const batch = new CallBatch(options.batchCallsMax);
  const queue: Buffer[] = [];
  let lostCount = 0;
  let flushing = false;
  // True when a batch is due that finds no place in the queue.
  let overdue = false;
  let listener = (): void => undefined;

  const seal = (): void => {
    if (batch.count === 0) return;
    overdue = queue.length >= queuedBatchesMax;
    if (overdue) return;
    queue.push(batch.seal(lostCount));
    lostCount = 0;
    listener();
  };
  const sealSoon = (): void => {
    if (flushing) return;
    flushing = true;
    clock.schedule(batchDelayMs, () => {
      flushing = false;
      seal();
    });
  };

  return {
    record(call) {
      if (batch.add(call)) {
        if (batch.count === options.batchCallsMax) seal();
        else sealSoon();
        return;
      }
      seal();
      if (batch.add(call)) sealSoon();
      else lostCount++;
    },
    take() {
      const message = queue.shift();
      if (overdue) seal();
      return message;
    },
    onBatch: (next) => void (listener = next),
    get lostCount() {
      return lostCount;
    },
  };
}
