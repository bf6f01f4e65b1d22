// SPDX-License-Identifier: Apache-2.0

/** Which node holds which identity, how long its lease runs, and since when an identity is held by nobody. */
export interface ReferenceTable {
  readonly nodeCount: number;
  readonly referenceCount: number;
  isHeld(node: string, id: number): boolean;
  heldBy(node: string): ReadonlySet<number>;
  countOf(id: number): number;
  hasLease(node: string): boolean;
  /** Begins a lease if the node has none that still runs. */
  ensureLease(node: string, nowMs: number): void;
  /** Begins the node's lease anew. */
  renew(node: string, nowMs: number): void;
  add(node: string, id: number): void;
  remove(reference: { readonly node: string; readonly id: number }, nowMs: number): void;
  /** Forgets a node; it holds nothing any more. */
  removeNode(node: string): void;
  isExpired(node: string, nowMs: number): boolean;
  expiredNodes(nowMs: number): string[];
  /** States that an identity exists which nobody holds from now on. */
  addUnreferenced(id: number, nowMs: number): void;
  /** States that an identity is gone. */
  forget(id: number): void;
  /** Identities held by nobody for at least `graceMs`, the longest first. */
  unreferencedFor(graceMs: number, nowMs: number): Iterable<number>;
}

const nothing: ReadonlySet<number> = new Set();

/** Makes an empty table. Times are on any clock that never goes back. */
export function createReferenceTable({ leaseMs }: { readonly leaseMs: number }): ReferenceTable {
  const held = new Map<string, Set<number>>();
  const counts = new Map<number, number>();
  const leaseEndMs = new Map<string, number>();
  // Additions come with growing times, so that the order of insertion is the order of age.
  const unreferencedSinceMs = new Map<number, number>();
  let referenceCount = 0;

  return {
    get nodeCount() {
      return leaseEndMs.size;
    },
    get referenceCount() {
      return referenceCount;
    },
    isHeld: (node, id) => held.get(node)?.has(id) === true,
    heldBy: (node) => held.get(node) ?? nothing,
    countOf: (id) => counts.get(id) ?? 0,
    hasLease: (node) => leaseEndMs.has(node),
    ensureLease(node, nowMs) {
      if ((leaseEndMs.get(node) ?? nowMs) <= nowMs) leaseEndMs.set(node, nowMs + leaseMs);
    },
    renew: (node, nowMs) => void leaseEndMs.set(node, nowMs + leaseMs),
    add(node, id) {
      const ids = held.get(node) ?? new Set();
      if (ids.has(id)) return;
      held.set(node, ids.add(id));
      counts.set(id, (counts.get(id) ?? 0) + 1);
      unreferencedSinceMs.delete(id);
      referenceCount += 1;
    },
    remove({ node, id }, nowMs) {
      if (held.get(node)?.delete(id) !== true) return;
      referenceCount -= 1;
      const left = (counts.get(id) ?? 1) - 1;
      counts.set(id, left);
      if (left > 0) return;
      counts.delete(id);
      unreferencedSinceMs.set(id, nowMs);
    },
    removeNode(node) {
      held.delete(node);
      leaseEndMs.delete(node);
    },
    isExpired: (node, nowMs) => (leaseEndMs.get(node) ?? Infinity) <= nowMs,
    expiredNodes: (nowMs) => [...leaseEndMs].filter(([, endMs]) => endMs <= nowMs).map(([node]) => node),
    addUnreferenced: (id, nowMs) => void unreferencedSinceMs.set(id, nowMs),
    forget: (id) => void unreferencedSinceMs.delete(id),
    *unreferencedFor(graceMs, nowMs) {
      for (const [id, sinceMs] of unreferencedSinceMs) {
        if (nowMs - sinceMs < graceMs) return;
        yield id;
      }
    },
  };
}
