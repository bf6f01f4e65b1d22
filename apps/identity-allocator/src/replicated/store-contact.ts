// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { StoreAway } from '../store/identity-store.ts';

/** Whether the store answers. */
export interface StoreContact {
  readonly away: StoreAway | undefined;
  lost(error: unknown): void;
  /** How long it was away; undefined if it was not. */
  regained(): number | undefined;
  /** Resolves when there is contact; rejects with UNAVAILABLE when there is none for `patienceMs`. */
  wait(patienceMs: number): Promise<void>;
  /** Rejects who waits. */
  close(): void;
}

/** Begins with contact. */
export function createStoreContact({ clock, name }: { readonly clock: Clock; readonly name: string }): StoreContact {
  let away: StoreAway | undefined;
  let change = Promise.withResolvers<undefined>();
  const tellAll = (): void => {
    change.resolve(undefined);
    change = Promise.withResolvers();
  };
  const unavailable = (): WeirError =>
    new WeirError('UNAVAILABLE', `${name} is away: ${away?.reason ?? 'it does not answer in time'}`);
  return {
    get away() {
      return away;
    },
    lost(error) {
      const reason = WeirError.from(error).message;
      away = { reason, sinceMs: away?.sinceMs ?? clock.monotonicMs() };
    },
    regained() {
      if (away === undefined) return undefined;
      const lastedMs = clock.monotonicMs() - away.sinceMs;
      away = undefined;
      tellAll();
      return lastedMs;
    },
    async wait(patienceMs) {
      if (away === undefined) return;
      let cancel = (): void => undefined;
      const timeout = new Promise<undefined>((resolve) => {
        cancel = clock.schedule(patienceMs, () => resolve(undefined));
      });
      await Promise.race([change.promise, timeout]);
      cancel();
      if (away !== undefined) throw unavailable();
    },
    close: tellAll,
  };
}
