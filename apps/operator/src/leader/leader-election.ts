// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import type { Claim, LeaderClaims } from './leader-claims.ts';

/** Of several operators on one store, at most one leads at a time. */
export interface LeaderElection {
  /** Whether this one leads at this moment: it has said so in time, and nobody can have taken over yet. */
  readonly isLeader: boolean;
  /** Who leads, as far as is known; empty when nobody does. */
  readonly leader: string;
  /** Why the store could not be asked the last time; undefined when it could. */
  readonly away: string | undefined;
  start(): void;
  /** Gives up leadership at once, so that nobody has to wait for the lease to run out. */
  stop(): Promise<void>;
}

export interface LeaderElectionOptions {
  readonly claims: LeaderClaims;
  /** For people. */
  readonly name: string;
  /** Of this process, and of no other one. */
  readonly id: string;
  /** Whoever says nothing for that long has left. */
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onChange?: (isLeader: boolean) => void;
}

const beatsPerLease = 5;
// A leader stops before others may begin, also when clocks run at different speed.
const ownShare = 0.7;

/**
 * Makes a candidate. Nobody compares clocks: a candidate takes over when it has seen one and the same claim for a whole lease of its
 * own time, and a leader counts from before it began to write.
 */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { claims, name, id, leaseMs, clock, logger } = options;
  let leadsUntilMs = -Infinity;
  let wasLeader = false;
  let away: string | undefined;
  let cancelTimer: CancelTimer = () => undefined;
  let running: Promise<void> = Promise.resolve();
  let state: 'idle' | 'running' | 'stopped' = 'idle';

  const isLeader = (): boolean => clock.monotonicMs() < leadsUntilMs;
  const claimIt = async (claim: Claim): Promise<void> => {
    const beganMs = clock.monotonicMs();
    if (await claims.write(claim)) leadsUntilMs = claim.hasResigned ? -Infinity : beganMs + leaseMs * ownShare;
    else await claims.look();
  };
  const mayClaim = (): boolean => {
    const { seen } = claims;
    if (seen === undefined || seen.claim.hasResigned || seen.claim.id === id) return true;
    return clock.monotonicMs() - seen.atMs >= leaseMs;
  };
  const step = async (): Promise<void> => {
    try {
      await claims.look();
      if (mayClaim()) await claimIt({ name, id, beat: (claims.seen?.claim.beat ?? 0) + 1 });
      if (claims.seen?.claim.id !== id) leadsUntilMs = -Infinity;
      away = undefined;
    } catch (error) {
      const { code, message } = WeirError.from(error);
      if (code !== 'UNAVAILABLE' && code !== 'TIMEOUT') logger.error({ error }, 'Leader election failed');
      away = message;
    }
    if (isLeader() === wasLeader) return;
    wasLeader = isLeader();
    logger.info({ state: wasLeader ? 'leader' : 'follower' }, 'Leadership has changed');
    options.onChange?.(wasLeader);
  };
  const run = async (): Promise<void> => {
    running = step();
    await running;
    if (state === 'running') cancelTimer = clock.schedule(leaseMs / beatsPerLease, () => void run());
  };

  return {
    get isLeader() {
      return isLeader();
    },
    get leader() {
      const claim = claims.seen?.claim;
      return claim === undefined || claim.hasResigned ? '' : claim.name;
    },
    get away() {
      return away;
    },
    start() {
      state = 'running';
      void run();
    },
    async stop() {
      state = 'stopped';
      cancelTimer();
      await running;
      const claim = claims.seen?.claim;
      if (!isLeader() || claim?.id !== id) return;
      leadsUntilMs = -Infinity;
      await claims.write({ ...claim, beat: claim.beat + 1, hasResigned: true }).catch(() => false);
    },
  };
}
