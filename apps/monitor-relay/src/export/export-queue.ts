// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';

/** Takes a batch somewhere else; rejects when it could not. */
export type Send<Item> = (batch: readonly Item[]) => Promise<void>;

/** Why something was not exported. */
export type LossReason = 'rate_limited' | 'queue_full' | 'failed';

export interface ExportQueueOptions<Item> {
  readonly send: Send<Item>;
  readonly clock: Clock;
  readonly itemsMax: number;
  readonly batchMax: number;
  /** How long an item waits for others to go with it. */
  readonly delayMs: number;
  /** Items that are taken a second. */
  readonly rateMax: number;
  /** How often a batch is tried; it is lost then, so that one that nobody takes does not hold up the rest for ever. */
  readonly attemptsMax: number;
  readonly retryDelayMs: number;
  readonly onSent: (count: number) => void;
  readonly onLost: (count: number, reason: LossReason) => void;
  readonly onFailed: (error: unknown) => void;
}

/** Items on their way out: so many at most, and what is lost is counted. Whoever pushes never waits. */
export interface ExportQueue<Item> {
  push(item: Item): void;
  readonly length: number;
  /** Sends what there is, once; what cannot be sent is lost. */
  close(): Promise<void>;
}

const retryDelayFactorMax = 32;

/** Lets so many through in any second. */
function createRateLimit(rateMax: number, clock: Clock): () => boolean {
  let [tokens, atMs] = [rateMax, clock.monotonicMs()];
  return () => {
    const nowMs = clock.monotonicMs();
    tokens = Math.min(rateMax, tokens + ((nowMs - atMs) / 1_000) * rateMax);
    atMs = nowMs;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}

/** Makes a queue, empty. */
export function createExportQueue<Item>(options: ExportQueueOptions<Item>): ExportQueue<Item> {
  const { send, clock, itemsMax, batchMax, delayMs, attemptsMax, retryDelayMs, onSent, onLost, onFailed } = options;
  const isLetThrough = createRateLimit(options.rateMax, clock);
  const items: Item[] = [];
  let state: 'idle' | 'waiting' | 'sending' | 'closed' = 'idle';
  let attempts = 0;
  let cancel: (() => void) | undefined;
  let sending: Promise<void> = Promise.resolve();

  const attempt = async (): Promise<void> => {
    const batch = items.slice(0, batchMax);
    try {
      await send(batch);
      attempts = 0;
      items.splice(0, batch.length);
      onSent(batch.length);
    } catch (error) {
      attempts += 1;
      onFailed(error);
      if (attempts < attemptsMax && state !== 'closed') return;
      attempts = 0;
      items.splice(0, batch.length);
      onLost(batch.length, 'failed');
    }
  };
  const schedule = (): void => {
    if (state !== 'idle' || items.length === 0) return;
    state = 'waiting';
    const retryMs = retryDelayMs * Math.min(retryDelayFactorMax, 2 ** (attempts - 1));
    cancel = clock.schedule(attempts > 0 ? retryMs : items.length >= batchMax ? 0 : delayMs, run);
  };
  const run = (): void => {
    state = 'sending';
    sending = attempt().then(() => {
      if (state === 'sending') state = 'idle';
      schedule();
    });
  };

  return {
    push(item) {
      if (state === 'closed') return;
      if (!isLetThrough()) return onLost(1, 'rate_limited');
      if (items.length >= itemsMax) return onLost(1, 'queue_full');
      items.push(item);
      if (items.length === batchMax && state === 'waiting' && attempts === 0) {
        cancel?.();
        state = 'idle';
      }
      schedule();
    },
    get length() {
      return items.length;
    },
    async close() {
      state = 'closed';
      cancel?.();
      await sending;
      while (items.length > 0) await attempt();
    },
  };
}
