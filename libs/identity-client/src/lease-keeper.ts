// SPDX-License-Identifier: Apache-2.0
import { createBackoff, type CancelTimer, type Clock } from '@weir/clock';
import { formatLabelSet } from '@weir/model';
import type { IdentityAllocatorDefinition } from '@weir/proto';
import type { RpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { HeldIdentities } from './held-identities.ts';
import type { Lane } from './lane.ts';

/** Renews the node's lease in time, telling the allocator what the node uses. */
export interface LeaseKeeper {
  /** Renews within `delayMs`, and then again and again. */
  renewWithin(delayMs: number): void;
  /** The same, for a node that has just learnt how long its lease lasts. */
  leaseLasts(leaseMs: number): void;
  stop(): void;
}

export interface LeaseKeeperOptions {
  readonly rpc: Pick<RpcClient<typeof IdentityAllocatorDefinition>, 'renewLease'>;
  readonly node: string;
  readonly held: HeldIdentities;
  readonly lane: Lane;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

// Two renewals may fail before the lease runs out.
const renewalsPerLease = 3;
// However short a lease the allocator claims.
const renewalMsMin = 200;
const retryMs = { initialMs: 1_000, maxMs: 10_000 } as const;

/** Makes the keeper; it does nothing before `renewWithin`. */
export function createLeaseKeeper({ rpc, node, held, lane, clock, random, log }: LeaseKeeperOptions): LeaseKeeper {
  const backoff = createBackoff({ ...retryMs, random });
  let cancelTimer: CancelTimer = () => undefined;
  let timerDueMs = Infinity;
  let intervalMs = Infinity;
  let state: 'idle' | 'renewing' | 'again' | 'stopped' = 'idle';

  const renew = (): Promise<number> =>
    lane.alone(async () => {
      const sent = held.held();
      const wire = sent.map(({ id, labels }) => ({ id, labels: formatLabelSet(labels) }));
      const { leaseMs, lost } = await rpc.renewLease({ node, held: wire });
      held.renewed(sent, lost);
      intervalMs = intervalFor(leaseMs);
      return intervalMs;
    });
  const run = async (): Promise<void> => {
    state = 'renewing';
    let delayMs: number;
    try {
      delayMs = await renew();
      backoff.reset();
      held.setReachable(true);
    } catch (error) {
      // However short the lease: there is time for another attempt.
      delayMs = Math.min(backoff.nextMs(), intervalMs / 2);
      log.debug({ error, delayMs }, 'Cannot renew the lease');
      held.setReachable(false);
    }
    if (isStopped()) return;
    const again = wantsAgain();
    state = 'idle';
    if (again) return void run();
    renewWithin(delayMs);
  };
  // The compiler does not see that `state` changes during an await.
  const isStopped = (): boolean => state === 'stopped';
  const wantsAgain = (): boolean => state === 'again';
  const renewNow = (): void => {
    cancelTimer();
    timerDueMs = Infinity;
    if (state === 'idle') void run();
    else if (state === 'renewing') state = 'again';
  };
  const renewWithin = (delayMs: number): void => {
    if (delayMs === 0) return renewNow();
    const dueMs = clock.monotonicMs() + delayMs;
    if (state !== 'idle' || dueMs >= timerDueMs) return;
    cancelTimer();
    timerDueMs = dueMs;
    cancelTimer = clock.schedule(delayMs, renewNow);
  };
  return {
    renewWithin,
    leaseLasts: (leaseMs) => renewWithin(intervalFor(leaseMs)),
    stop() {
      state = 'stopped';
      cancelTimer();
    },
  };
}

const intervalFor = (leaseMs: number): number => Math.max(renewalMsMin, leaseMs / renewalsPerLease);
