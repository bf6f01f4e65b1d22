// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { KeyValueStore } from '@weir/shared-log';
import type { Logger } from '@weir/telemetry';

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
  readonly store: KeyValueStore;
  readonly key: string;
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

/** What the key says. `beat` differs in every message of a leader. */
interface Claim {
  readonly name: string;
  readonly id: string;
  readonly beat: number;
  readonly hasResigned?: boolean;
}

interface Seen {
  readonly version: string;
  readonly claim: Claim;
  /** When this version was seen first. */
  readonly atMs: number;
}

const beatsPerLease = 5;
// A leader stops before others may begin, also when clocks run at different speed.
const ownShare = 0.7;

/** The claim as it was read or written last. */
function createClaims({ store, key, clock }: LeaderElectionOptions) {
  let seen: Seen | undefined;
  return {
    get seen() {
      return seen;
    },
    async look(): Promise<void> {
      const found = await store.get(key);
      if (found === undefined) seen = undefined;
      else if (found.version !== seen?.version) {
        seen = { version: found.version, claim: parseClaim(key, found.value), atMs: clock.monotonicMs() };
      }
    },
    /** False when somebody else was faster. */
    async write(claim: Claim): Promise<boolean> {
      const swap = { key, version: seen?.version, value: JSON.stringify(claim), others: [] };
      const version = await store.swap(swap);
      if (version !== undefined) seen = { version, claim, atMs: clock.monotonicMs() };
      return version !== undefined;
    },
  };
}

/**
 * Makes a candidate. Nobody compares clocks: a candidate takes over when it has seen one and the same claim for a whole lease of its
 * own time, and a leader counts from before it began to write.
 */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  const { name, id, leaseMs, clock, logger } = options;
  const claims = createClaims(options);
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

function parseClaim(key: string, text: string): Claim {
  try {
    const claim = JSON.parse(text) as Claim;
    if (typeof claim.id === 'string' && typeof claim.name === 'string' && Number.isSafeInteger(claim.beat))
      return claim;
  } catch {
    // Said below.
  }
  throw new WeirError(
    'CORRUPT_STATE',
    `Key "${key}" holds "${text.slice(0, 64)}", expected what an operator wrote there`,
  );
}
