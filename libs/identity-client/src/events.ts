// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';

/** A number and what it stands for. */
export interface KnownIdentity {
  readonly id: number;
  readonly labels: LabelSet;
}

/** A label set in use here whose number the allocator could not keep. */
export interface MovedIdentity {
  readonly labels: LabelSet;
  readonly from: number;
  readonly to: number;
}

/**
 * What the client tells. Calls are synchronous, in the order of events, and must not throw. What was loaded from disk at
 * the start is not told: it is in `identities()` once `start` has returned.
 */
export interface IdentityEvents {
  /** New, or the number stands for something else than before. */
  onUpsert?(identity: KnownIdentity): void;
  /** Nobody in the cluster uses the number any more. */
  onDelete?(id: number): void;
  /** What is known is what the allocator knew at `revision`. Again after every reconnection. */
  onSynced?(revision: number): void;
  /**
   * Endpoints with these labels must take the new number. The old one stays releasable, and stands for the labels here
   * until the allocator says otherwise.
   */
  onMoved?(moved: MovedIdentity): void;
}
