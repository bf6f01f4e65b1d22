// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { WeirError } from '@weir/errors';
import type { LabelSet } from '@weir/model';
import { createSettler } from './settler.ts';
import { createWaiters } from './waiters.ts';

/** A label set that waits for a number, and why. */
export interface WaitingLabelSet {
  readonly labels: LabelSet;
  /** Wall-clock time of the first caller. */
  readonly sinceMs: number;
  readonly reason: string;
}

/** One label set that this node uses, and the worker that brings the allocator in line with that. */
export interface HeldLabelSet {
  readonly labels: LabelSet;
  /** What the users were told. */
  readonly id: number | undefined;
  /** Users; at zero the reference is given up. */
  readonly users: number;
  /** Undefined when nobody waits. */
  readonly waiting: WaitingLabelSet | undefined;
  /** One user more. Rejects with CANCELLED when `signal` aborts, or with what makes asking again pointless. */
  join(signal: AbortSignal | undefined): Promise<number>;
  /** One user less. */
  leave(): void;
  /** States whether the allocator holds our reference. */
  confirm(confirmed: boolean): void;
  /** Gives who waits the number that is known from before, if one is. */
  takeKnown(): void;
  /** Ends a pause between two attempts. */
  retryNow(): void;
  /** Rejects who waits, and stops working. */
  close(reason: WeirError): void;
}

/** What a {@link HeldLabelSet} needs from its surroundings. */
export interface HeldLabelSetDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** Runs beside other allocations and releases, but never beside a renewal, which says what is held. */
  besideRenewals(run: () => Promise<void>): Promise<void>;
  /** Has the allocator hold a reference; gives the number. */
  acquire(labels: LabelSet): Promise<number>;
  /** Has the allocator drop the reference. Never fails: where it does, the next renewal does not name it. */
  giveUp(id: number): Promise<void>;
  /** The number that the set had when the allocator last spoke of it. */
  knownNumber(labels: LabelSet): number | undefined;
  /** Whether the allocator answered last time. */
  isReachable(): boolean;
  /** Users were told `to`; `from` is what they were told before. */
  onGiven(set: HeldLabelSet, from: number | undefined, to: number): void;
  /** The first attempt to get it failed; others follow unless asking again is pointless. */
  onFailed(set: HeldLabelSet, error: WeirError): void;
  /** Nobody uses it any more, and the allocator knows. */
  onUnused(set: HeldLabelSet): void;
}

// How long a known label set waits for an allocator that seems well, before it takes the number it knows.
const patienceMs = 500;

// Another attempt cannot help.
const finalCodes: ReadonlySet<string> = new Set(['INVALID_ARGUMENT', 'PERMISSION_DENIED', 'NOT_SUPPORTED']);

interface Use {
  users: number;
  id: number | undefined;
  /** Whether the allocator is known to hold our reference. */
  confirmed: boolean;
}

/** Makes a set without users. */
export function createHeldLabelSet(labels: LabelSet, deps: HeldLabelSetDeps): HeldLabelSet {
  const sinceMs = deps.clock.nowMs();
  const waiters = createWaiters<number>();
  const use: Use = { users: 0, id: undefined, confirmed: false };
  let reason = 'The allocator is being asked';

  const give = (given: number): void => {
    const from = use.id;
    use.id = given;
    deps.onGiven(self, from, given);
    waiters.resolve(given);
  };
  const takeKnown = (): void => {
    const known = deps.knownNumber(labels);
    if (use.id === undefined && waiters.size > 0 && known !== undefined) give(known);
  };
  const refuse = (error: WeirError): void => {
    use.users -= waiters.size;
    waiters.reject(error);
  };
  const settler = createSettler({
    clock: deps.clock,
    random: deps.random,
    isSettled: () => isSettled(use),
    step: () => deps.besideRenewals(() => step(use, { labels, deps, give })),
    onFailed(error, attempt) {
      reason = error.message;
      if (attempt === 1) deps.onFailed(self, error);
      if (finalCodes.has(error.code)) refuse(error);
      else takeKnown();
    },
    onSettled() {
      if (use.users === 0) deps.onUnused(self);
    },
  });
  const self: HeldLabelSet = {
    labels,
    get id() {
      return use.id;
    },
    get users() {
      return use.users;
    },
    get waiting() {
      return waiters.size === 0 ? undefined : { labels, sinceMs, reason };
    },
    join(signal) {
      use.users += 1;
      const given = use.id === undefined ? waiters.add(signal, () => self.leave()) : Promise.resolve(use.id);
      settler.settle();
      if (deps.isReachable()) deps.clock.schedule(patienceMs, takeKnown);
      else takeKnown();
      return given;
    },
    leave() {
      use.users -= 1;
      settler.settle();
    },
    confirm(value) {
      use.confirmed = value;
      settler.settle();
    },
    takeKnown,
    retryNow: () => settler.settle(),
    close(why) {
      settler.stop();
      refuse(why);
    },
  };
  return self;
}

const isSettled = ({ users, confirmed }: Use): boolean => confirmed === users > 0;

interface StepContext {
  readonly labels: LabelSet;
  readonly deps: Pick<HeldLabelSetDeps, 'acquire' | 'giveUp'>;
  readonly give: (id: number) => void;
}

async function step(use: Use, { labels, deps, give }: StepContext): Promise<void> {
  if (isSettled(use)) return;
  if (use.users > 0) {
    const given = await deps.acquire(labels);
    use.confirmed = true;
    give(given);
  } else {
    use.confirmed = false;
    if (use.id !== undefined) await deps.giveUp(use.id);
  }
}
