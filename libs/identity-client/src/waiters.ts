// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Callers that wait for the same value. */
export interface Waiters<Value> {
  readonly size: number;
  /** Waits; when `signal` aborts, rejects with its reason and calls `onGone`. */
  add(signal: AbortSignal | undefined, onGone: () => void): Promise<Value>;
  resolve(value: Value): void;
  reject(error: WeirError): void;
}

/** Makes an empty waiting room. */
export function createWaiters<Value>(): Waiters<Value> {
  const waiting = new Set<PromiseWithResolvers<Value>>();
  const takeAll = (): PromiseWithResolvers<Value>[] => {
    const all = [...waiting];
    waiting.clear();
    return all;
  };
  return {
    get size() {
      return waiting.size;
    },
    add(signal, onGone) {
      const waiter = Promise.withResolvers<Value>();
      waiting.add(waiter);
      const onAbort = (): void => {
        if (!waiting.delete(waiter)) return;
        waiter.reject(WeirError.from(signal?.reason, 'CANCELLED'));
        onGone();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      return waiter.promise.finally(() => signal?.removeEventListener('abort', onAbort));
    },
    resolve: (value) => takeAll().forEach((waiter) => waiter.resolve(value)),
    reject: (error) => takeAll().forEach((waiter) => waiter.reject(error)),
  };
}
