// SPDX-License-Identifier: Apache-2.0
import type { LabelSet } from '@weir/model';
import type { IdentityEvents, KnownIdentity } from './events.ts';

/** Numbers and label sets, found from either side. While a set moves, two numbers stand for it; the newest is its own. */
export interface IdentityIndex {
  readonly size: number;
  labelsOf(id: number): LabelSet | undefined;
  numberOf(labels: LabelSet): number | undefined;
  values(): Iterable<KnownIdentity>;
  /** Adds without an event. True when the number is new, or stood for something else. */
  put(identity: KnownIdentity): boolean;
  upsert(identity: KnownIdentity): void;
  /** Removes the number, once the node does not use it. */
  remove(id: number): void;
  /** The node does not use the number any more. True when that removed it. */
  unused(id: number): boolean;
}

export interface IdentityIndexOptions {
  readonly events: IdentityEvents;
  readonly isInUse: (id: number) => boolean;
}

/** Makes an empty index. */
export function createIdentityIndex({ events, isInUse }: IdentityIndexOptions): IdentityIndex {
  const byId = new Map<number, KnownIdentity>();
  const byKey = new Map<string, number>();
  // To be removed as soon as the node does not use them.
  const doomed = new Set<number>();

  const put = (identity: KnownIdentity): boolean => {
    const former = byId.get(identity.id);
    doomed.delete(identity.id);
    byKey.set(identity.labels.key, identity.id);
    if (former?.labels.key === identity.labels.key) return false;
    if (former !== undefined && byKey.get(former.labels.key) === identity.id) byKey.delete(former.labels.key);
    byId.set(identity.id, identity);
    return true;
  };
  const removeNow = (id: number): void => {
    const former = byId.get(id);
    if (former === undefined) return;
    byId.delete(id);
    if (byKey.get(former.labels.key) === id) byKey.delete(former.labels.key);
    events.onDelete?.(id);
  };
  return {
    get size() {
      return byId.size;
    },
    labelsOf: (id) => byId.get(id)?.labels,
    numberOf: ({ key }) => byKey.get(key),
    values: () => byId.values(),
    put,
    upsert(identity) {
      if (put(identity)) events.onUpsert?.(identity);
    },
    remove(id) {
      if (isInUse(id)) doomed.add(id);
      else removeNow(id);
    },
    unused(id) {
      if (!doomed.delete(id)) return false;
      removeNow(id);
      return true;
    },
  };
}
