// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { assert, WeirError } from '@weir/errors';
import { formatLabelSet, type LabelSet } from '@weir/model';
import type { IdentityAllocatorDefinition } from '@weir/proto';
import type { RpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { IdentityEvents, KnownIdentity } from './events.ts';
import {
  createHeldLabelSet,
  type HeldLabelSet,
  type HeldLabelSetDeps,
  type WaitingLabelSet,
} from './held-label-set.ts';
import type { IdentityCache } from './identity-cache.ts';
import type { Lane } from './lane.ts';

/** The label sets in use on this node, each with the number of its users. */
export interface HeldIdentities {
  allocate(labels: LabelSet, signal?: AbortSignal): Promise<number>;
  release(id: number): void;
  /** Whether a user was told this number. */
  isInUse(id: number): boolean;
  /** What the allocator must know that this node uses. */
  held(): readonly KnownIdentity[];
  /** What a renewal said about what it was sent. */
  renewed(sent: readonly KnownIdentity[], lost: readonly number[]): void;
  /** Whether the allocator answers. Without it, what is known resolves at once; when it is back, all try again. */
  setReachable(reachable: boolean): void;
  waiting(): readonly WaitingLabelSet[];
  close(reason: WeirError): void;
}

export interface HeldIdentitiesOptions {
  readonly rpc: Pick<RpcClient<typeof IdentityAllocatorDefinition>, 'allocate' | 'release'>;
  readonly node: string;
  readonly cache: IdentityCache;
  /** Allocate and Release run shared, renewals alone: a renewal names what is held and drops the rest. */
  readonly lane: Lane;
  readonly clock: Clock;
  readonly random: () => number;
  readonly events: IdentityEvents;
  readonly log: Logger;
  /** An answer said how long the node's lease lasts. */
  readonly onLease: (leaseMs: number) => void;
}

// An allocator that has a store answers in a tenth of that; one that hangs, or its store, does not. What takes something away, or
// replaces it, is asked once: done late by the one that hung it would undo what came after it.
const hedgeMs = 400;
const awayCodes: ReadonlySet<string> = new Set(['UNAVAILABLE', 'TIMEOUT']);

/** Makes the empty table. */
export function createHeldIdentities(options: HeldIdentitiesOptions): HeldIdentities {
  const { cache, lane, events, log } = options;
  const byKey = new Map<string, HeldLabelSet>();
  // Also by numbers that a set had before: some user may still release by one.
  const byId = new Map<number, HeldLabelSet>();
  let reachable = true;
  let closed: WeirError | undefined;

  const { acquire, giveUp } = createCalls({ ...options, onAnswer: () => (reachable = true) });
  const deps: HeldLabelSetDeps = {
    clock: options.clock,
    random: options.random,
    besideRenewals: (run) => lane.shared(run),
    acquire: (labels) => acquire(labels, byKey.get(labels.key)?.id ?? cache.numberOf(labels) ?? 0),
    giveUp,
    knownNumber: (labels) => cache.numberOf(labels),
    isReachable: () => reachable,
    onGiven(set, from, to) {
      byId.set(to, set);
      if (from === undefined || from === to) return;
      log.warn({ identities: [from, to], labels: formatLabelSet(set.labels) }, 'Label set moves to another number');
      events.onMoved?.({ labels: set.labels, from, to });
    },
    onFailed({ labels, waiting }, error) {
      if (awayCodes.has(error.code)) reachable = false;
      if (waiting !== undefined) log.warn({ labels: formatLabelSet(labels), error }, 'Label set waits for its number');
    },
    onUnused(set) {
      if (byKey.get(set.labels.key) === set) byKey.delete(set.labels.key);
      for (const [id, other] of [...byId]) {
        if (other !== set) continue;
        byId.delete(id);
        cache.unused(id);
      }
    },
  };

  return {
    async allocate(labels, signal) {
      if (closed !== undefined) throw closed;
      if (signal?.aborted === true) throw WeirError.from(signal.reason, 'CANCELLED');
      const set = byKey.get(labels.key) ?? createHeldLabelSet(labels, deps);
      byKey.set(labels.key, set);
      return set.join(signal);
    },
    release(id) {
      const set = byId.get(id);
      assert(set !== undefined && set.users > 0, `identity ${id} is released as often as it was allocated`);
      set.leave();
    },
    isInUse: (id) => byId.has(id),
    held: () =>
      [...byKey.values()].flatMap(({ id, labels, users }) => (id === undefined || users === 0 ? [] : [{ id, labels }])),
    renewed(sent, lost) {
      const gone = new Set(lost);
      const kept = new Set(sent.filter(({ id }) => !gone.has(id)).map(({ labels, id }) => `${id} ${labels.key}`));
      for (const set of [...byKey.values()]) set.confirm(kept.has(`${set.id ?? 0} ${set.labels.key}`));
    },
    setReachable(value) {
      reachable = value;
      for (const set of [...byKey.values()]) {
        if (value) set.retryNow();
        else set.takeKnown();
      }
    },
    waiting: () => [...byKey.values()].flatMap(({ waiting }) => waiting ?? []),
    close(reason) {
      closed = reason;
      for (const set of byKey.values()) set.close(reason);
    },
  };
}

interface Calls {
  acquire(labels: LabelSet, knownId: number): Promise<number>;
  giveUp(id: number): Promise<void>;
}

function createCalls(options: HeldIdentitiesOptions & { readonly onAnswer: () => void }): Calls {
  const { rpc, node, cache } = options;
  return {
    async acquire(labels, knownId) {
      const { identity, leaseMs } = await rpc.allocate({ node, labels: formatLabelSet(labels), knownId }, { hedgeMs });
      const id = identity?.id ?? 0;
      options.onAnswer();
      options.onLease(leaseMs);
      cache.learn({ id, labels });
      return id;
    },
    giveUp: (id) => rpc.release({ node, id }).then(ignore, ignore),
  };
}

const ignore = (): void => undefined;
