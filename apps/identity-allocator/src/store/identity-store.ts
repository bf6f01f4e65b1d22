// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';
import type { Announcement } from '../cluster/cluster-directory.ts';

/** A number and the label set it stands for. */
export interface StoredIdentity {
  readonly id: number;
  readonly labels: LabelSet;
  /** When this was last changed; every change of any identity has its own revision, ever growing. */
  readonly revision: number;
  /**
   * True when garbage collection took it. Until the number is given to another label set it still belongs to this one,
   * which gets it back when somebody asks for it again.
   */
  readonly retired: boolean;
}

/** What came after some revision. */
export interface Changes {
  readonly upserted: readonly StoredIdentity[];
  readonly deleted: readonly number[];
  /** Continue from here. */
  readonly revision: number;
  /** False when there is more already. */
  readonly complete: boolean;
}

/** A node's claim to an identity, as it names it when it renews its lease. */
export interface HeldIdentity {
  readonly id: number;
  readonly labels: LabelSet;
}

/** What a garbage collection did. */
export interface Collection {
  /** Nodes whose lease had run out. */
  readonly expiredNodes: readonly string[];
  /** Numbers taken from label sets that nobody holds. */
  readonly deleted: readonly number[];
}

/** Given up when it aborts before the store has begun with it. */
export interface OperationOptions {
  readonly signal?: AbortSignal;
}

/**
 * Where identities live. Every backend promises, also against any other replica that works on the same store:
 *
 * - A label set never has two numbers, and a number never two label sets.
 * - A number is not taken while a node with a living lease holds it, and a taken one keeps its label set for the reuse
 *   delay.
 * - What is acknowledged survives the death of this process at any moment. What fails has not happened; only of what fails
 *   with UNAVAILABLE a store behind a network may find out later that it has. Asking again is harmless.
 * - Time in which nobody could renew a lease counts for nobody: after a start, leases and graces begin anew.
 *
 * Operations fail with RESOURCE_EXHAUSTED at a limit, with UNAVAILABLE when the store cannot be written, and with
 * CANCELLED when their signal aborts. Reading never waits: it is answered from memory.
 */
export interface IdentityStore {
  /** The history that revisions count. Another epoch means another history: the store was lost and begun anew. */
  readonly epoch: string;
  /** The revision of the newest change. */
  readonly revision: number;
  readonly counts: StoreCounts;
  /**
   * Why this replica can neither change anything nor know what others have changed; undefined while all is well. Listeners of
   * `onChange` are called when it begins.
   */
  readonly away: StoreAway | undefined;

  /**
   * The identity of a label set, made if there is none, with a reference for the node. Idempotent. A new one gets the
   * number `knownId` if nobody ever had it.
   */
  allocate(
    request: { readonly node: string; readonly labels: LabelSet; readonly knownId?: number },
    options?: OperationOptions,
  ): Promise<{ readonly identity: StoredIdentity; readonly created: boolean }>;

  /** Gives up a reference. Giving up what is not held is no error. */
  release(request: { readonly node: string; readonly id: number }, options?: OperationOptions): Promise<void>;

  /**
   * Begins the node's lease anew and makes its references exactly `held`: what is missing is taken again under the same
   * number, what is not named is given up. `lost` are the numbers that belong to other label sets by now, or whose label
   * sets have other numbers.
   */
  renewLease(
    request: { readonly node: string; readonly held: readonly HeldIdentity[] },
    options?: OperationOptions,
  ): Promise<{ readonly lost: readonly number[] }>;

  /**
   * Tells all replicas what a node says of itself, for as long as its lease runs, which begins anew. ALREADY_EXISTS when it
   * claims what is another node's.
   */
  announce(announcement: Announcement, options?: OperationOptions): Promise<void>;

  /** Gives up nodes whose lease has run out, with all that they hold and have announced. */
  expireNodes(): Promise<readonly string[]>;

  /** Frees the references of nodes whose lease has run out, and takes identities nobody held for the grace period. */
  collectGarbage(): Promise<Collection>;

  /** Undefined for a number that has no label set or was retired. */
  get(id: number): StoredIdentity | undefined;
  /** How many nodes hold the identity. */
  referencesTo(id: number): number;
  /** Identities in use, ascending by number, above `afterId`. */
  list(afterId: number): Iterable<StoredIdentity>;
  /** Reads what other replicas have written until now. Fails with UNAVAILABLE when the store is away. */
  catchUp(): Promise<void>;
  /** What came after a revision, as it is now: states in between are skipped. Bounded by the size of what it returns. */
  changesAfter(revision: number, limit: { readonly bytesMax: number }): Changes;
  /** Calls `listener` after changes have become durable. The result stops it. */
  onChange(listener: () => void): () => void;

  /** Finishes what has begun, refuses the rest with UNAVAILABLE, and lets go of the store. */
  close(): Promise<void>;
}

/** Since when a store does not answer, and what the last attempt said. */
export interface StoreAway {
  readonly reason: string;
  /** On the clock that never goes back. */
  readonly sinceMs: number;
}

/** How full the store is. */
export interface StoreCounts {
  readonly identities: number;
  readonly nodes: number;
  readonly references: number;
}

/** Times that the store keeps to, in milliseconds. */
export interface StoreTimes {
  /** How long a node's references outlive its last renewal. */
  readonly leaseMs: number;
  /**
   * How long an identity stays although nobody holds it. At least a lease: a reference that got lost on the way is taken
   * again with the next renewal.
   */
  readonly graceMs: number;
  /** How long a retired number keeps its meaning before another label set may get it. At least a lease. */
  readonly reuseDelayMs: number;
}

/** What any store holds at most; beyond it operations fail with RESOURCE_EXHAUSTED. */
export const storeLimits = {
  nodesMax: 10_000,
  referencesPerNodeMax: 4_096,
  /** Operations that wait for the store. */
  queuedOperationsMax: 20_000,
} as const;
