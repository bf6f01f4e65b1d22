// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { IdentityStore } from '../store/identity-store.ts';

// A store that elects a new leader is back within that time. After that another replica may know more than this one.
const awayMsMax = 2_000;

/** Fails with UNAVAILABLE and the reason when the store has been away for two seconds: a watcher is better off elsewhere. */
export function refuseWhileAway({ away }: Pick<IdentityStore, 'away'>, clock: Clock): void {
  if (away === undefined || clock.monotonicMs() - away.sinceMs < awayMsMax) return;
  throw new WeirError('UNAVAILABLE', `The store is away: ${away.reason}`);
}
