// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';

/** Where endpoints get their identities from. */
export interface IdentitySource {
  /**
   * The number of a label set, held until it is released as often as it was taken. A set that is known here resolves at
   * once, also while the allocator is away; an unknown one waits for it, until `signal` aborts.
   */
  take(labels: LabelSet, signal?: AbortSignal): Promise<number>;
  release(identity: number): void;
  /** Says what number a label set had before; counts unless something newer is known. */
  recall(identity: number, labels: LabelSet): void;
  /** The labels of a number, if it is known here. */
  labelsOf(identity: number): LabelSet | undefined;
}

/** All identities that are known on this node, for people. */
export interface IdentityDirectory extends Pick<IdentitySource, 'labelsOf'> {
  all(): Iterable<readonly [number, LabelSet]>;
  /** What keeps a label set from its number; undefined when nobody waits for it. */
  waitingReason(labels: LabelSet): string | undefined;
}
